# Servers and clients of the protocols beside FTP and TFTP, for helpers.sh: as much of each as a helper reads, and then
# the connection that was announced. Perl's base system is enough.
#   announce.pl server ADDRESS ADDRESS6 LINKLOCAL   all servers, until ended; LINKLOCAL has %INTERFACE
#   announce.pl amanda|sane|tns ADDRESS
#   announce.pl rpc udp|tcp port|address ADDRESS
#   announce.pl mdns|slp|ssdp|dhcpv6 OWN            asks a group, from this address of ours (%INTERFACE for IPv6)
#   announce.pl sentinel ADDRESS PORT               a TFTP request from this port, whatever the answer is
# Exit status 0: all that was announced has been reached. PATIENCE: how long that may take (120).
use strict;
use Socket qw(:all);
use IO::Select;
use lib $0 =~ s{[^/]+$}{}r;
use Sockets;
$| = 1;
my ($role, @words) = @ARGV;

sub text { my ($x) = @_; return pack 'N/a* x!4', $x }

# What the servers answer. The ports are fixed, so that two runs announce the same.
my %port = (amanda => 50000, rpc => 50010, sane => 50020, tns => 40123, ssdp => 8080, callback => 40003);
sub rpc {
    my ($call, $host) = @_;
    my ($xid, undef, undef, undef, $version) = unpack 'N5', $call;
    my $head = pack 'N6', $xid, 1, 0, 0, 0, 0;
    return $head . pack 'N', $port{rpc} if $version == 2;
    return $head . text(join '.', $host, $port{rpc} >> 8, $port{rpc} & 255);
}
sub record { my ($x) = @_; return pack('N', 0x80000000 | length $x) . $x }

my @watched;
sub watch { push @watched, [@_] }
sub unwatch { my ($s) = @_; @watched = grep { $_->[0] != $s } @watched; close $s }
sub datagrams { # answers from $from, if it is not the socket itself
    my ($s, $answer, $from) = @_;
    watch($s, sub {
        my $to = recv $s, my $got, 9000, 0;
        my $out = defined $to ? $answer->($got) : undef;
        send $from // $s, $out, 0, $to if defined $out;
    });
}
sub sessions {
    my ($l, $answer) = @_;
    watch($l, sub {
        accept my $c, $l or return;
        watch($c, sub {
            return unwatch($c) unless sysread $c, my $got, 9000;
            my $out = $answer->($got);
            syswrite $c, $out if defined $out;
        });
    });
}
sub data { my ($l) = @_; watch($l, sub { accept my $c, $l or return; syswrite $c, 'hello'; close $c }) }
sub group {
    my ($port, $group, $address, $answer) = @_;
    my $any = bound(SOCK_DGRAM, '0.0.0.0', $port);
    setsockopt $any, IPPROTO_IP, IP_ADD_MEMBERSHIP, pack_ip_mreq(inet_aton($group), inet_aton($address)) or die "$group: $!\n";
    datagrams($any, $answer, bound(SOCK_DGRAM, $address, $port));
}
sub group6 {
    my ($port, $group, $address, $answer) = @_;
    my $any = bound(SOCK_DGRAM, '::', $port);
    my (undef, undef, $scope) = unpack_sockaddr_in6(place(SOCK_DGRAM, $address, $port)->{addr});
    setsockopt $any, IPPROTO_IPV6, IPV6_JOIN_GROUP, pack_ipv6_mreq(inet_pton(AF_INET6, $group), $scope) or die "$group: $!\n";
    datagrams($any, $answer, bound(SOCK_DGRAM, $address, $port));
}
sub notify { # two events, each with a connection of its own
    my ($host, $port) = @_;
    return if fork // die "fork: $!\n";
    for my $n (1 .. 2) {
        my $s = connected($host, $port);
        syswrite $s, "NOTIFY /cb HTTP/1.1\r\nHOST: $host:$port\r\nNT: upnp:event\r\nSEQ: $n\r\n\r\n";
        sysread $s, my $got, 9000;
    }
    exit 0;
}

if ($role eq 'server') {
    my ($address, $address6, $link) = @words;
    $SIG{CHLD} = 'IGNORE';
    my $base = $port{amanda};
    for my $host ($address, $address6) {
        data(listening($host, $_)) for $base .. $base + 3, $port{rpc}, $port{sane}, $port{tns};
        datagrams(bound(SOCK_DGRAM, $host, 10080), sub {
            sprintf "Amanda 2.4 REP HANDLE 000-00000000 SEQ 1080\nCONNECT DATA %d MESG %d INDEX %d STATE %d\nOPTIONS features=fff;\n", $base .. $base + 3
        });
        datagrams(bound(SOCK_DGRAM, $host, 111), sub { rpc($_[0], $host) });
        sessions(listening($host, 111), sub { record(rpc(substr($_[0], 4), $host)) });
        sessions(listening($host, 6566), sub { $_[0] eq "\0\0\0\7\0\0\0\1" ? pack 'N4', 0, $port{sane}, 0x1234, 0 : pack 'N', 0 });
        sessions(listening($host, 1521), sub {
            my $to = "(ADDRESS=(PROTOCOL=tcp)(DEV=6)(HOST=$host)(PORT=$port{tns}))";
            pack('nnCCnn', 10 + length $to, 0, 5, 0, 0, length $to) . $to
        });
    }
    # An answer to a query for x.local (RFC 6762, section 6.7).
    my $answer = sub { substr($_[0], 0, 2) . "\x84\0\0\1\0\1\0\0\0\0\1x\5local\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\x0a\0\4\x0a\2\0\2" };
    group(5353, '224.0.0.251', $address, $answer);
    group6(5353, 'ff02::fb', $link, $answer);
    group(427, '239.255.255.253', $address, sub { "\2\2\0\0\x12\0\0\0\0\0\x12\x34\0\2en\0\0" });
    group6(547, 'ff02::1:2', $link, sub { "\2" . substr $_[0], 1, 3 });
    my $url = "http://$address:$port{ssdp}/desc.xml";
    group(1900, '239.255.255.250', $address, sub { "HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nLOCATION: $url\r\nUSN: x\r\n\r\n" });
    sessions(listening($address, $port{ssdp}), sub {
        notify($1, $2) if $_[0] =~ m{^SUBSCRIBE .*CALLBACK: <http://([\d.]+):(\d+)/}s;
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    });
    print "ready\n";
    while (1) {
        my %do = map { $_->[0] => $_->[1] } @watched;
        my @ready = IO::Select->new(map { $_->[0] } @watched)->can_read;
        $do{$_}->() for @ready;
    }
}

my $seconds = $ENV{PATIENCE} // 120;
$SIG{ALRM} = sub { die "no end after $seconds s\n" };
alarm $seconds;
sub reach {
    my ($host, @ports) = @_;
    for my $port (@ports) {
        my $s = connected($host, $port);
        sysread $s, my $got, 100;
        die "port $port: $got\n" unless $got eq 'hello';
    }
}
# A datagram may be lost while an address is being resolved.
sub asked {
    my ($s, $text, $host, $port) = @_;
    for (1 .. 3) {
        send $s, $text, 0, place(SOCK_DGRAM, $host, $port)->{addr} or die "send: $!\n";
        next unless IO::Select->new($s)->can_read($seconds / 4);
        recv $s, my $got, 9000, 0;
        return $got;
    }
    die "no answer\n";
}
sub told {
    my ($s, $text) = @_;
    syswrite $s, $text or die "write: $!\n";
    sysread $s, my $got, 9000 or die "closed\n";
    return $got;
}
sub from { my ($host) = @_; return bound(SOCK_DGRAM, $host =~ /:/ ? '::' : '0.0.0.0', 0) }
sub from_group { # sends to groups from this address and port
    my ($own, $port) = @_;
    my $s = bound(SOCK_DGRAM, $own, $port);
    setsockopt $s, IPPROTO_IP, IP_MULTICAST_IF, inet_aton($own) unless $own =~ /:/;
    return $s;
}

if ($role eq 'sentinel') {
    my ($host, $own_port) = @words;
    send bound(SOCK_DGRAM, '0.0.0.0', $own_port), "\0\1sentinel\0octet\0", 0, place(SOCK_DGRAM, $host, 69)->{addr} or die "send: $!\n";
} elsif ($role eq 'amanda') {
    my ($host) = @words;
    my $got = asked(from($host), "Amanda 2.4 REQ HANDLE 000-00000000 SEQ 1080\n", $host, 10080);
    my @ports = $got =~ /CONNECT DATA (\d+) MESG (\d+) INDEX (\d+) STATE (\d+)\nOPTIONS features=fff;\n$/ or die "amanda: $got\n";
    reach($host, @ports);
} elsif ($role eq 'rpc') {
    my ($l4, $what, $host) = @words;
    my $version = $what eq 'port' ? 2 : 4;
    my $call = pack 'N12', 0x12345678, 0, 2, 100000, $version, 3, 0, 0, 0, 0, 100003, 3;
    $call .= $what eq 'port' ? pack 'N2', 6, 0 : text($host =~ /:/ ? 'tcp6' : 'tcp') . text('') . text('');
    my $got = $l4 eq 'udp' ? asked(from($host), $call, $host, 111) : substr told(connected($host, 111), record($call)), 4;
    my ($found) = unpack $what eq 'port' ? 'x24 N' : 'x24 N/a*', $got;
    if ($what eq 'port') { reach($host, $found) }
    else {
        my ($to, $high, $low) = $found =~ /^(.+)\.(\d+)\.(\d+)$/ or die "rpc: $found\n";
        die "rpc: address $to instead of $host\n" unless $to eq $host;
        reach($to, $high * 256 + $low);
    }
} elsif ($role eq 'sane') {
    my ($host) = @words;
    my $s = connected($host, 6566);
    told($s, "\0\0\0\6\0\0\0\1");
    my ($status, $port) = unpack 'N2', told($s, "\0\0\0\7\0\0\0\1");
    die "sane: $status\n" if $status;
    reach($host, $port);
} elsif ($role eq 'tns') {
    my ($host) = @words;
    my $s = connected($host, 1521);
    my $got = told($s, "\0\x0f\0\0\1\0\0\0connect");
    my ($len, undef, $kind, undef, undef, $text_len, $text) = unpack 'nnCCnna*', $got;
    die "tns: lengths $len and $text_len\n" unless $len == length $got and $text_len == length $text and $kind == 5;
    my ($to, $port) = $text =~ /\(HOST=([^)]+)\)\(PORT=(\d+)\)/ or die "tns: $text\n";
    die "tns: host $to instead of $host\n" unless $to eq $host;
    reach($to, $port);
    # Sequence numbers are right in both directions when the connection goes on.
    told($s, "\0\x0f\0\0\1\0\0\0connect");
} elsif ($role eq 'mdns') {
    my ($own) = @words;
    my ($to) = $own =~ /:/ ? 'ff02::fb' . ($own =~ /(%.*)/)[0] : '224.0.0.251';
    asked(from_group($own, 40000), "\x12\x34\1\0\0\1\0\0\0\0\0\0\1x\5local\0\0\1\0\1", $to, 5353) =~ /^\x12\x34\x84/s or die "mdns\n";
} elsif ($role eq 'slp') {
    my ($own) = @words;
    my $request = "\2\1\0\0\x38\x20\0\0\0\0\x12\x34\0\2en\0\0\0\x17service:printer:lpr://x\0\7DEFAULT\0\0\0\0";
    asked(from_group($own, 40002), $request, '239.255.255.253', 427) =~ /^\x02\x02/ or die "slp\n";
} elsif ($role eq 'dhcpv6') {
    my ($own) = @words;
    asked(from_group($own, 546), "\1\0\0\1", 'ff02::1:2' . ($own =~ /(%.*)/)[0], 547) eq "\2\0\0\1" or die "dhcpv6\n";
} elsif ($role eq 'ssdp') {
    my ($own) = @words;
    my $callback = listening($own, $port{callback});
    my $search = "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n";
    my $got = asked(from_group($own, 40001), $search, '239.255.255.250', 1900);
    my ($host, $port) = $got =~ m{LOCATION: http://([\d.]+):(\d+)/} or die "ssdp: $got\n";
    my $s = connected($host, $port);
    told($s, "GET /desc.xml HTTP/1.1\r\nHOST: $host:$port\r\n\r\n");
    told($s, "SUBSCRIBE /e HTTP/1.1\r\nHOST: $host:$port\r\nCALLBACK: <http://$own:$port{callback}/cb>\r\nNT: upnp:event\r\n\r\n");
    for my $n (1 .. 2) {
        accept my $c, $callback or die "accept: $!\n";
        sysread $c, my $event, 9000;
        die "ssdp: $event\n" unless $event =~ /^NOTIFY .*SEQ: $n/s;
        syswrite $c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    }
} else {
    die "announce.pl: no role '$role'\n";
}
