# Many datagrams of one flow, for helpers-speed.sh.
#   flood.pl count ADDRESS N          counts N of them at port 69, and prints how many came in how many milliseconds; what
#                                     has not come for five seconds does not come. Every 50th is answered.
#   flood.pl send ADDRESS N           sends them, never more than 200 that have not arrived
use strict;
use Socket qw(:all);
use IO::Select;
$| = 1;
my ($role, $address, $n) = @ARGV;
socket my $s, AF_INET, SOCK_DGRAM, 0 or die "socket: $!\n";
my $place = pack_sockaddr_in(69, inet_aton($address));
# clock_gettime(2) on x86-64 with CLOCK_MONOTONIC, in seconds.
sub now { my $buf = pack 'qq', 0, 0; syscall(228, 1, $buf) == 0 or die "clock: $!\n"; my ($s, $ns) = unpack 'qq', $buf; return $s + $ns / 1e9 }
# No request: an acknowledgement, as most packets of TFTP are.
my $text = pack 'n2', 4, 1;
if ($role eq 'count') {
    setsockopt $s, SOL_SOCKET, SO_REUSEADDR, 1;
    setsockopt $s, SOL_SOCKET, SO_RCVBUF, 212992;
    bind $s, $place or die "bind: $!\n";
    print "ready\n";
    my ($seen, $first, $select) = (0, undef, IO::Select->new($s));
    while ($seen < $n and $select->can_read(defined $first ? 5 : 60)) {
        my $from = recv $s, my $got, 2000, 0;
        $first //= now();
        $seen++;
        send $s, pack('N', $seen), 0, $from if $seen % 50 == 0;
    }
    printf "%d %d\n", $seen, (now() - $first) * 1000;
} else {
    connect $s, $place or die "connect: $!\n";
    my ($sent, $seen, $select) = (0, 0, IO::Select->new($s));
    while ($sent < $n) {
        if ($sent - $seen < 200) { send $s, $text, 0 or die "send: $!\n"; $sent++; next }
        $select->can_read(5) or die "stuck at $seen of $sent\n";
        recv $s, my $got, 100, 0;
        $seen = unpack 'N', $got;
    }
}
