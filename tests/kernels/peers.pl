# The two ends of a control connection, for helpers.sh. Perl's base system is enough.
#   peers.pl server ADDRESS          FTP at port 21 and TFTP at port 69, until it is ended
#   peers.pl ftp ADDRESS MODE [FILE AT...] one transfer; MODE is port, eprt, pasv or epsv. AT each of these points it
#                                    creates FILE.AT.here, and goes on when FILE.AT is there: login, announced (the
#                                    data connection is expected), half (it has carried half of its data). Then the
#                                    control connection has to answer three more commands.
#   peers.pl tftp ADDRESS            one transfer
#   peers.pl lines ADDRESS LINE...   sends lines, and prints the first line of each answer
# Exit status 0: all arrived. PATIENCE: how long each step may take (60).
use strict;
use Socket qw(:all);
use IO::Socket::IP;
use IO::Select;
$| = 1;
$SIG{ALRM} = sub { die "no end\n" };
my ($role, $address, @words) = @ARGV;

sub say_line { my ($s, $text) = @_; syswrite $s, "$text\r\n" or die "write: $!\n" }
sub line {
    my ($s) = @_;
    my $got = '';
    while ($got !~ /\n/) {
        IO::Select->new($s)->can_read(100) or die "no answer\n";
        sysread $s, my $byte, 1 or die "closed\n";
        $got .= $byte;
    }
    return $got =~ s/\r?\n//r;
}
sub ask { my ($s, $text, $want) = @_; say_line($s, $text); my $got = line($s); $got =~ /^$want/ or die "$text: $got\n"; return $got }
sub parts { my ($port) = @_; return join ',', $port >> 8, $port & 255 }

sub session {
    my ($c) = @_;
    my ($to, $at, $listen, $noop);
    say_line($c, '220 ready');
    while (1) {
        my $text = eval { line($c) } // return;
        if ($text =~ /^PORT (\d+,\d+,\d+,\d+),(\d+),(\d+)/) { ($to, $at, $listen) = ($1 =~ tr/,/./r, $2 * 256 + $3); say_line($c, '200 ok') }
        elsif ($text =~ /^EPRT \|\d\|([^|]+)\|(\d+)\|/) { ($to, $at, $listen) = ($1, $2); say_line($c, '200 ok') }
        elsif ($text =~ /^(PASV|EPSV)/) {
            $listen = IO::Socket::IP->new(LocalHost => $c->sockhost, LocalPort => 0, Listen => 1) or die $@;
            my $port = $listen->sockport;
            if ($1 eq 'PASV') { my $host = $c->sockhost =~ tr/./,/r; say_line($c, "227 Entering Passive Mode ($host," . parts($port) . ')') }
            else { say_line($c, "229 Entering Extended Passive Mode (|||$port|)") }
        } elsif ($text =~ /^RETR/) {
            say_line($c, '150 here it comes');
            my $data = $listen
                ? (IO::Select->new($listen)->can_read(60) ? scalar $listen->accept : undef)
                : IO::Socket::IP->new(PeerHost => $to, PeerPort => $at, Timeout => 60);
            if ($data) {
                syswrite $data, 'hello ';
                line($c) eq 'GO ON' or die "not GO ON\n" if $text =~ /halves/;
                syswrite $data, 'over FTP';
                close $data;
                say_line($c, '226 done');
            } else { say_line($c, '425 no data connection') }
        } elsif ($text =~ /^NOOP/) { say_line($c, '200 noop ' . ++$noop) }
        elsif ($text =~ /^QUIT/) { say_line($c, '221 bye'); return }
        else { say_line($c, '230 fine') }
    }
}

if ($role eq 'server') {
    $SIG{CHLD} = 'IGNORE';
    my $ftp = IO::Socket::IP->new(LocalHost => $address, LocalPort => 21, Listen => 5, ReuseAddr => 1) or die "ftp: $@";
    my $tftp = IO::Socket::IP->new(LocalHost => $address, LocalPort => 69, Proto => 'udp') or die "tftp: $@";
    my $both = IO::Select->new($ftp, $tftp);
    while (1) {
        for my $ready ($both->can_read) {
            if ($ready == $ftp) {
                my $c = $ftp->accept or next;
                unless (fork // die) { session($c); exit }
                close $c;
            } else {
                $tftp->recv(my $request, 600);
                # From a new port, as RFC 1350 wants it.
                my $answer = IO::Socket::IP->new(LocalHost => $address, PeerHost => $tftp->peerhost, PeerPort => $tftp->peerport, Proto => 'udp') or die "tftp: $@";
                $answer->send(pack('nn', 3, 1) . 'hello over TFTP');
            }
        }
    }
}
my $seconds = $ENV{PATIENCE} // 60; # for one step
alarm 5 * $seconds;
if ($role eq 'tftp') {
    my $s = IO::Socket::IP->new(LocalHost => $address =~ /:/ ? '::' : '0.0.0.0', LocalPort => 0, Proto => 'udp') or die $@;
    my ($e, $to) = getaddrinfo($address, 69, { socktype => SOCK_DGRAM });
    for (1 .. 3) {
        send $s, "\0\1file\0octet\0", 0, $to->{addr} or die "send: $!\n";
        next unless IO::Select->new($s)->can_read(5);
        $s->recv(my $got, 600);
        die "tftp: $got\n" unless $got =~ /hello over TFTP/;
        exit 0;
    }
    die "no answer\n";
}
my $c = IO::Socket::IP->new(PeerHost => $address, PeerPort => 21, Timeout => 60) or die "connect: $@\n";
line($c);
if ($role eq 'lines') {
    for my $text (@words) { say_line($c, $text); print line($c), "\n" }
    exit 0;
}
my ($mode, $file, @at) = @words;
my %at = map { $_ => 1 } @at;
sub pause {
    my ($point) = @_;
    return unless $at{$point};
    open my $here, '>', "$file.$point.here" or die "$file: $!";
    close $here;
    until (-e "$file.$point") { select undef, undef, undef, 0.1 }
}
ask($c, 'USER u', '230');
ask($c, 'NOOP', '200');
pause('login');
my ($listen, $data);
if ($mode eq 'port' or $mode eq 'eprt') {
    $listen = IO::Socket::IP->new(LocalHost => $c->sockhost, LocalPort => 0, Listen => 1) or die $@;
    my ($host, $port) = ($c->sockhost, $listen->sockport);
    if ($mode eq 'port') { ask($c, 'PORT ' . ($host =~ tr/./,/r) . ',' . parts($port), '200') }
    else { ask($c, 'EPRT |' . ($host =~ /:/ ? 2 : 1) . "|$host|$port|", '200') }
} elsif ($mode eq 'pasv') {
    ask($c, 'PASV', '227') =~ /\((\d+,\d+,\d+,\d+),(\d+),(\d+)\)/ or die "227\n";
    $data = [$1 =~ tr/,/./r, $2 * 256 + $3];
} else {
    ask($c, 'EPSV', '229') =~ /\(\|\|\|(\d+)\|\)/ or die "229\n";
    $data = [$c->peerhost, $1];
}
pause('announced');
say_line($c, $at{half} ? 'RETR halves' : 'RETR file');
my $d;
if ($listen) { $d = IO::Select->new($listen)->can_read($seconds) ? $listen->accept : undef }
else { $d = IO::Socket::IP->new(PeerHost => $data->[0], PeerPort => $data->[1], Timeout => $seconds) }
die "no data connection\n" unless $d;
my $got = '';
while ($got !~ /^hello over FTP/) {
    sysread $d, $got, 100, length $got or die "data: $got\n";
    if ($at{half} and $got eq 'hello ') { pause('half'); say_line($c, 'GO ON') }
}
line($c) =~ /^150/ and line($c) =~ /^226/ or die "end of the transfer\n";
# Sequence numbers are right in both directions when the connection goes on.
ask($c, 'NOOP and some more text of another length', "200 noop $_") for 2 .. 4;
ask($c, 'QUIT', '221');
