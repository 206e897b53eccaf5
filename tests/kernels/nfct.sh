#!/bin/sh
# Runs the tests of nfct inside a virtual machine, one at a time: those of helpers too, which nothing else may
# change meanwhile. /zct/nfct-test is the executable of tests/tests/nfct.rs; setpriv has to be there as well.
# Until the kernel has random numbers, malloc leaves EAGAIN in errno, and some messages of the original end
# with it. Reading a random byte waits for them.
head -c 1 /dev/random >/dev/null
ZCT_BIN=/zct/zct exec /zct/nfct-test --include-ignored --test-threads=1 --nocapture
