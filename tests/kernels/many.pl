# Many control connections at once, for helpers.sh.
#   many.pl server ADDRESS N        takes N connections at port 21, then answers each line of each of them in turn
#   many.pl client ADDRESS N FILE   opens N, has a line of each answered, creates FILE.here, and once FILE is there has a
#                                   second one answered. FILE.half is created when half of these are sent, and the rest
#                                   waits for FILE.on.
# Exit status 0: all were answered.
use strict;
use Socket qw(:all);
$| = 1;
my ($role, $address, $n, $file) = @ARGV;
$SIG{ALRM} = sub { die "no end\n" };
alarm 600;
my $place = pack_sockaddr_in(21, inet_aton($address));
my @all;

if ($role eq 'server') {
    socket my $l, AF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
    setsockopt $l, SOL_SOCKET, SO_REUSEADDR, 1;
    bind $l, $place or die "bind: $!\n";
    listen $l, 1000 or die "listen: $!\n";
    print "ready\n";
    while (@all < $n) { accept my $c, $l or die "accept: $!\n"; push @all, $c }
    for my $round (1, 2) {
        for my $c (@all) {
            sysread $c, my $got, 100 or die "read: $!\n";
            syswrite $c, "200 $round\r\n" or die "write: $!\n";
        }
    }
    # The other side closes first.
    sysread $all[-1], my $got, 100;
    exit 0;
}
sub exists_now { my ($f) = @_; open my $h, '>', $f or die "$f: $!\n"; close $h }
sub until_there { my ($f) = @_; until (-e $f) { select undef, undef, undef, 0.1 } }
sub heard {
    my ($round) = @_;
    for my $s (@all) {
        sysread $s, my $got, 100 or die "read: $!\n";
        $got eq "200 $round\r\n" or die "answer: $got\n";
    }
}
for (1 .. $n) {
    socket my $s, AF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
    connect $s, $place or die "connect: $!\n";
    push @all, $s;
}
syswrite $_, "NOOP\r\n" for @all;
heard(1);
exists_now("$file.here");
until_there($file);
my $half = int @all / 2;
syswrite $all[$_], "NOOP\r\n" for 0 .. $half - 1;
exists_now("$file.half");
until_there("$file.on");
syswrite $all[$_], "NOOP\r\n" for $half .. $#all;
heard(2);
