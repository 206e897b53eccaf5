#!/bin/sh
# The tests of nfct inside a virtual machine, those of helpers included, which nothing else may change there:
# one at a time. /zct/nfct-test is the executable of tests/tests/nfct.rs; setpriv has to be there as well.
# Until the kernel has random numbers, malloc leaves EAGAIN in errno, which some messages of the original end
# with; reading one waits for them.
head -c 1 /dev/random >/dev/null
ZCT_BIN=/zct/zct exec /zct/nfct-test --include-ignored --test-threads=1 --nocapture
