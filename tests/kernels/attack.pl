# What strangers might send to open ports that nobody meant, for helpers-attacks.sh. Perl's base system is enough.
#   attack.pl server DIR      in the namespace of the server: answers the first bytes of a connection, and each datagram,
#                             with what the other process has put into DIR/answer
#   attack.pl DIR PART        makes the attempts of this part, from the client and from this machine, the router; a line for
#                             each, and in DIR/counts a line "TYPE: REASON N" for what the helpers have to have counted
# An attempt is made through the kernel; then nothing may be expected that was not meant. Exit status 1 when one is bad.
use strict;
use Socket qw(:all);
use IO::Select;
use lib $0 =~ s{[^/]+$}{}r;
use Sockets;
$| = 1;
my ($dir, $part) = @ARGV;
my ($client, $server, $router) = ('10.1.0.2', '10.222.111.2', '10.222.111.133');
$SIG{ALRM} = sub { die "no end\n" };

sub written { my ($file, $text) = @_; open my $out, '>', "$dir/.new" or die "$file: $!\n"; print $out $text; close $out; rename "$dir/.new", "$dir/$file" }
sub there { my ($file) = @_; until (-e "$dir/$file") { select undef, undef, undef, 0.02 } unlink "$dir/$file" }

if ($dir eq 'server') {
    $dir = $part;
    my $answer = sub { # each line of the answer in a segment, or datagram, of its own
        my ($send) = @_;
        written('got', '');
        open my $in, '<', "$dir/answer" or return;
        my @parts = unpack '(N/a*)*', do { local $/; <$in> };
        for my $text (@parts) { if ($text eq 'WAIT') { there('go') } else { $send->($text) } }
    };
    my (%listens, %asked);
    for my $host ($server, 'fd00:2::2') {
        for my $port (21, 111, 1521, 6566, 8080) {
            my $l = listening($host, $port);
            $listens{$l} = $l;
        }
    }
    for my $port (69, 111, 427, 1900, 5353, 10080) { my $u = bound(SOCK_DGRAM, $server, $port); $asked{$u} = [$u, $u, $port] }
    my ($own) = map { $_->[0] } grep { $_->[2] == 1900 } values %asked;
    my $group = bound(SOCK_DGRAM, '239.255.255.250', 1900);
    setsockopt $group, IPPROTO_IP, IP_ADD_MEMBERSHIP, pack_ip_mreq(inet_aton('239.255.255.250'), inet_aton($server)) or die "group: $!\n";
    $asked{$group} = [$group, $own];
    print "ready\n";
    while (1) {
        for my $s (IO::Select->new(values %listens, map { $_->[0] } values %asked)->can_read) {
            if ($listens{$s}) {
                accept my $c, $s or next;
                setsockopt $c, IPPROTO_TCP, TCP_NODELAY, 1;
                $answer->(sub { syswrite $c, $_[0] }) if sysread $c, my $got, 70000;
                1 while sysread $c, $got, 70000;
                close $c;
            } else {
                my $to = recv $s, my $got, 70000, 0;
                my $out = $asked{$s}[1];
                $answer->(sub { send $out, $_[0], 0, $to });
            }
        }
    }
}

# The namespaces: setns(2) on x86-64, with CLONE_NEWNET.
my %namespace;
open $namespace{client}, '<', '/run/netns/client' or die "client: $!\n";
open $namespace{router}, '<', '/proc/self/ns/net' or die "router: $!\n";
sub within { my ($where) = @_; syscall(308, fileno $namespace{$where}, 0x40000000) == 0 or die "setns: $!\n" }

# Netlink, for what the kernel knows: NETLINK_NETFILTER with one message and its answers.
sub attr { my ($type, $value) = @_; my $len = 4 + length $value; return pack('SSa*', $len, $type, $value) . "\0" x (-$len & 3) }
sub nest { my ($type, @inner) = @_; return attr($type | 0x8000, join '', @inner) }
sub ask {
    my ($type, $flags, $family, $attrs) = @_;
    socket my $s, 16, SOCK_RAW, 12 or die "netlink: $!\n";
    my $body = pack('CCn', $family, 0, 0) . $attrs;
    send $s, pack('LSSLL', 16 + length $body, $type, $flags, 1, 0) . $body, 0, pack('SSLL', 16, 0, 0, 0) or die "netlink: $!\n";
    my @got;
    while (1) {
        recv $s, my $all, 70000, 0;
        while (length $all >= 16) {
            my ($len, $kind) = unpack 'LS', $all;
            my $message = substr $all, 0, $len;
            $all = substr $all, ($len + 3) & ~3;
            if ($kind == 2) { my $code = unpack 'x16 l', $message; die "netlink: error $code\n" if $code; return @got }
            return @got if $kind == 3;
            push @got, $message;
        }
    }
}
# Each expectation as "PROTOCOL PORT".
sub expected {
    return map {
        my ($tuple) = /\x02\x80(.*)/s; # CTA_EXPECT_TUPLE, the second member
        my ($proto, $port) = /\x05\0\x01\0(.)\0\0\0\x06\0\x02\0..\0\0\x06\0\x03\0(..)/s ? (ord $1, unpack 'n', $2) : (0, 0);
        "$proto $port";
    } ask(0x201, 0x301, 0, '');
}
sub queues_are_empty {
    open my $in, '<', '/proc/self/net/netfilter/nfnetlink_queue' or die "queues: $!\n";
    return !grep { (split)[2] } <$in>;
}
sub flushed { ask(0x102, 5, $_, '') for AF_INET, AF_INET6 }
# What another program might write into a flow's private data.
sub private {
    my ($name, $hex, $l4, $sport, $dport) = @_;
    my $ip = nest(1, attr(1, inet_aton($client)), attr(2, inet_aton($server)));
    my $ports = nest(2, attr(1, pack 'C', $l4), attr(2, pack 'n', $sport), attr(3, pack 'n', $dport));
    ask(0x100, 5, AF_INET, nest(1, $ip, $ports) . nest(5, attr(1, "$name\0"), attr(2, pack 'H*', $hex)));
}

my ($bad, %counts) = (0);
sub answer { written('answer', pack '(N/a*)*', @_) }
sub verdict { my ($name, $result) = @_; print $result eq 'ok' ? "ok   helpers: $name\n" : "BAD  helpers: $name: $result\n"; $bad |= $result ne 'ok' }
# REASON is what has to be counted, or "nothing". Of what is expected, that which fits ALLOWED was meant.
my $allowed = qr/^$/;
sub attempt {
    my ($type, $reason, $name, $make) = @_;
    alarm 120;
    unlink "$dir/got", "$dir/go";
    my $result = eval { $make->(); 'ok' } // "cannot be made: $@";
    within('router');
    chomp $result;
    # What is sent has been judged when no queue holds it any more.
    until (queues_are_empty()) { select undef, undef, undef, 0.02 }
    my @opened = grep { !/$allowed/ } expected();
    $result = "opens @opened" if @opened;
    $counts{"$type: $reason"}++ unless $reason eq 'nothing';
    verdict("$type: $name: $reason", $result);
    flushed();
}
# Sends each part in a segment of its own. A reference is done in between. Returns how many bytes came back.
sub tcp {
    my ($where, $own, $host, $port, @parts) = @_;
    within($where);
    my $s = bound(SOCK_STREAM, $host =~ /:/ ? '::' : '0.0.0.0', $own);
    setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;
    connected($host, $port, $s);
    for (@parts) { if (ref) { $_->($s) } else { syswrite $s, $_ or die "write: $!\n" } }
    shutdown $s, SHUT_WR;
    my ($n, $all) = (0, 0);
    $all += $n while $n = sysread $s, my $got, 70000;
    return $all;
}
sub heard { my ($s) = @_; sysread $s, my $got, 70000 or die "closed\n" }
# The same with a datagram, after which it has arrived or, if it is asked for, been answered.
sub udp {
    my ($where, $own, $host, $port, $answered, $text, $meanwhile) = @_;
    within($where);
    my ($address, $own_port) = $own =~ /^(.*?):?(\d+)$/ ? ($1 || '0.0.0.0', $2) : die "$own\n";
    my $s = bound(SOCK_DGRAM, $address, $own_port);
    setsockopt $s, IPPROTO_IP, IP_MULTICAST_IF, inet_aton($address) if $host =~ /^2[23]\d\./;
    send $s, $text, 0, place(SOCK_DGRAM, $host, $port)->{addr} or die "send: $!\n";
    $meanwhile->() if $meanwhile;
    return 0 unless $answered;
    IO::Select->new($s)->can_read(60) or die "no answer\n";
    recv $s, my $got, 70000, 0;
    return length $got;
}

sub ftp { my ($reason, $name, @parts) = @_; attempt('ftp inet tcp', $reason, $name, sub { tcp('client', 0, $server, 21, "USER u\r\n", @parts) }) }
sub streams { # of Amanda
    my ($reason, $name, $streams) = @_;
    answer("Amanda 2.4 REP HANDLE 000-00000000 SEQ 1080\nCONNECT $streams\nOPTIONS x;\n");
    attempt('amanda inet udp', $reason, $name, sub { udp('client', 0, $server, 10080, 1, "Amanda 2.4 REQ HANDLE 000-00000000 SEQ 1080\n") });
}
my $call = pack 'N14', 0x12345678, 0, 2, 100000, 2, 3, 0, 0, 0, 0, 100003, 3, 6, 0;
my $getaddr = pack 'N12 N/a* x!4 N2', 0x12345678, 0, 2, 100000, 4, 3, 0, 0, 0, 0, 100003, 3, 'tcp', 0, 0;
my $reply = pack 'N6', 0x12345678, 1, 0, 0, 0, 0;
sub mark { my ($text) = @_; return pack 'N', 0x80000000 | length $text }
sub rpc {
    my ($reason, $name, $result, $asked) = @_;
    answer($reply . $result);
    attempt('rpc inet udp', $reason, $name, sub { udp('client', 0, $server, 111, 1, $asked // $call) });
}
my $start = pack 'N2', 7, 1;
sub sane { my ($reason, $name, @answer) = @_; answer(@answer); attempt('sane inet tcp', $reason, $name, sub { tcp('client', 0, $server, 6566, $start, \&heard) }) }
sub redirect { my ($text, $len) = @_; $len //= length $text; return pack 'nnCCnn', 10 + $len, 0, 5, 0, 0, $len }
sub address { my ($host, $port) = @_; return "(ADDRESS=(PROTOCOL=tcp)(HOST=$host)(PORT=$port))" }
my $connect = pack('nnCCn', 15, 0, 1, 0, 0) . 'connect';
sub tns { my ($reason, $name, @answer) = @_; answer(@answer); attempt('tns inet tcp', $reason, $name, sub { tcp('client', 0, $server, 1521, $connect, \&heard) }) }
sub tftp { my ($reason, $name, $text, $own) = @_; attempt('tftp inet udp', $reason, $name, sub { udp('client', $own // 0, $server, 69, 0, $text, sub { there('got') }) }) }
# The router's own requests; to groups that nobody has joined they pass the helper before send returns.
sub asks { my ($type, $reason, $name, $host, $port, $text, $own) = @_; attempt($type, $reason, $name, sub { udp('router', "$router:" . ($own // 40005), $host, $port, 0, $text) }) }
sub dhcpv6 { my ($reason, $name, $host, $text, $own) = @_; attempt('dhcpv6 inet6 udp', $reason, $name, sub { udp('router', 'fe80::1%server:' . ($own // 546), "$host%server", 547, 0, $text) }) }
my $query = pack('n6', 1, 0, 1, 0, 0, 0) . "\1x\5local\0" . pack 'n2', 1, 1;
my $service = "\2\1\0" . pack('n', 38) . "\0" x 5 . pack('n2', 1, 2) . 'en' . 'a' x 22;
my @group = ('239.255.255.250', 1900);
my $search = "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMX: 1\r\nST: ssdp:all\r\n\r\n";
sub located {
    my ($reason, $name, $text, $end) = @_;
    answer("HTTP/1.1 200 OK\r\nST: x\r\n$text" . ($end // "\r\n\r\n"));
    attempt('ssdp inet udp', $reason, $name, sub { udp('router', "$router:40005", @group, 1, $search) });
}
sub subscribed {
    my ($reason, $name, @parts) = @_;
    attempt('ssdp inet tcp', $reason, $name, sub {
        udp('router', "$router:40005", @group, 1, $search);
        grep { $_ eq '6 8080' } expected() or die "no description is expected\n";
        tcp('router', 0, $server, 8080, @parts);
    });
}

if ($part eq 'plain') {
    answer("220 ready\r\n");
    ftp('foreign-address', 'PORT to another host', "PORT 10,9,9,9,200,3\r\n");
    ftp('foreign-address', 'EPRT to another host', "EPRT |1|10.9.9.9|50000|\r\n");
    ftp('malformed', 'a number above 255 in an address', "PORT 266,1,0,2,200,3\r\n");
    ftp('malformed', 'a number above 255 in a port', "PORT 10,1,0,2,300,7\r\n");
    ftp('malformed', 'a port above 65535', "EPRT |1|10.1.0.2|70000|\r\n");
    ftp('malformed', "a family that is not the address's", "EPRT |2|10.1.0.2|50000|\r\n");
    ftp('port-zero', 'PORT to port 0', "PORT 10,1,0,2,0,0\r\n");
    ftp('privileged-port', 'PORT to port 22', "PORT 10,1,0,2,0,22\r\n");
    ftp('reserved-port', 'PORT to port 111', "PORT 10,1,0,2,0,111\r\n");
    ftp('split', 'a command in two segments', 'PORT 10,1,0,2,200', ",5\r\n");
    ftp('too-long', 'a command of 600 bytes', 'PORT ' . ' ' x 600 . "10,1,0,2,200,5\r\n");
    ftp('too-long', 'a command of 5,000 bytes in a segment', 'PORT ' . '1' x 5000 . "\r\n");
    $allowed = qr/^6 51204$/; # one of the two is made
    ftp('too-many', 'two commands in a segment', "PORT 10,1,0,2,200,4\r\nPORT 10,1,0,2,200,5\r\n");
    $allowed = qr/^$/;
    ftp('nothing', 'a command in the middle of a line', "USER u PORT 10,1,0,2,200,5\r\n");
    ftp('nothing', 'a command in the rest of a line', 'USER ' . 'a' x 8000, "PORT 10,1,0,2,200,5\r\n");
    answer("234 go on\r\n");
    attempt('ftp inet tcp', 'nothing', 'a command after encryption has begun', sub { tcp('client', 0, $server, 21, "AUTH TLS\r\n", \&heard, "PORT 10,1,0,2,200,5\r\n") });
    # The server says its line to the second part, when it has been asked.
    my $to = sub { my ($reason, $name, $asked, @lines) = @_; answer(@lines); attempt('ftp inet tcp', $reason, $name, sub { tcp('client', 0, $server, 21, $asked, \&heard) }) };
    $to->('unasked', '227 that nobody asked for', "USER u\r\n", "227 Entering Passive Mode (10,222,111,2,200,5)\r\n");
    $to->('foreign-address', '227 with another host', "PASV\r\n", "227 Entering Passive Mode (10,9,9,9,200,5)\r\n");
    $to->('privileged-port', '227 with port 22', "PASV\r\n", "227 Entering Passive Mode (10,222,111,2,0,22)\r\n");
    $to->('port-zero', '229 with port 0', "EPSV\r\n", "229 Entering Extended Passive Mode (|||0|)\r\n");
    $to->('malformed', '229 with a port above 65535', "EPSV\r\n", "229 Entering Extended Passive Mode (|||65537|)\r\n");
    $to->('split', '229 in two segments', "EPSV\r\n", '229 Entering Extended Passive', " Mode (|||50000|)\r\n");
    answer("220 ready\r\n");
    attempt('ftp inet tcp', 'stale-private', 'what is noted in the flow is not ours', sub {
        tcp('client', 40001, $server, 21, "USER u\r\n", \&heard, sub {
            within('router'); private('ftp', 'ff' x 24, 6, 40001, 21); within('client');
        }, "PORT 10,1,0,2,200,5\r\n");
    });

    streams('port-zero', 'port 0', 'DATA 0 MESG -1 INDEX -1');
    streams('privileged-port', 'port 22', 'DATA 22 MESG -1 INDEX -1');
    streams('reserved-port', 'port 111', 'DATA 111 MESG -1 INDEX -1');
    streams('malformed', 'a port above 65535', 'DATA 65558 MESG -1 INDEX -1');
    streams('malformed', 'a sign', 'DATA +50000 MESG -1 INDEX -1');
    streams('malformed', 'a stream that Amanda does not have', 'DATUM 50000');
    answer("DATA 50000\nCONNECT DATA 50000\n");
    attempt('amanda inet udp', 'nothing', "an answer that is not Amanda's", sub { udp('client', 0, $server, 10080, 1, 'x') });
    answer('ok');
    attempt('amanda inet udp', 'nothing', 'a client that answers itself', sub { udp('client', 0, $server, 10080, 1, "Amanda 2.4 REP\nCONNECT DATA 50000 MESG 50001 INDEX 50002\n") });

    rpc('privileged-port', 'port 22', pack 'N', 22);
    rpc('reserved-port', 'port 111', pack 'N', 111);
    rpc('malformed', 'a port above 65535', pack 'N', 65558);
    rpc('foreign-address', 'the address of another host', pack('N/a* x!4', '10.9.9.9.195.80'), $getaddr);
    rpc('malformed', 'an address that is none', pack('N/a* x!4', '10.9.9.9.395.80'), $getaddr);
    rpc('malformed', 'a question that goes on', pack('N', 50000), $call . pack 'N', 0);
    answer(pack 'N7', 0, 1, 0, 0, 0, 0, 50000);
    attempt('rpc inet udp', 'nothing', 'an answer to another question', sub { udp('client', 0, $server, 111, 1, $call) });
    rpc('nothing', 'an answer without a question', pack('N', 50000), 'x');
    answer('x');
    attempt('rpc inet tcp', 'split', 'a question in two segments', sub { tcp('client', 0, $server, 111, mark($call . $call) . $call, $call) });
    answer(mark($reply . 'port') . $reply, pack 'N', 50000);
    attempt('rpc inet tcp', 'split', 'an answer in two segments', sub { tcp('client', 0, $server, 111, mark($call) . $call, \&heard) });
    answer('WAIT', $reply . pack 'N', 50000);
    attempt('rpc inet udp', 'stale-private', 'what is noted in the flow is not ours', sub {
        udp('client', 40002, $server, 111, 1, $call, sub {
            there('got'); within('router'); private('rpc', unpack('H*', pack 'L4', 0x12345678, 100003, 3, 99), 17, 40002, 111); written('go', '');
        });
    });

    sane('port-zero', 'port 0', pack 'N4', 0, 0, 0x1234, 0);
    sane('privileged-port', 'port 22', pack 'N4', 0, 22, 0x1234, 0);
    sane('reserved-port', 'port 111', pack 'N4', 0, 111, 0x1234, 0);
    sane('malformed', 'a port above 65535', pack 'N4', 0, 65558, 0x1234, 0);
    sane('split', 'an answer in two segments', "\0\0\0\0\0\0", "\xc3\x50" . pack 'N2', 0x1234, 0);
    answer(pack 'N4', 0, 50000, 0x1234, 0);
    attempt('sane inet tcp', 'nothing', 'an answer without a start', sub { tcp('client', 0, $server, 6566, pack('N2', 6, 1), \&heard) });
    answer('WAIT', pack 'N4', 0, 50000, 0x1234, 0);
    attempt('sane inet tcp', 'stale-private', 'what is noted in the flow is not ours', sub {
        tcp('client', 40003, $server, 6566, $start, sub {
            there('got'); within('router'); private('sane', unpack('H*', pack 'L', 7), 6, 40003, 6566); within('client'); written('go', '');
        });
    });

    tns('foreign-address', 'a redirect to another host', redirect(address('10.9.9.9', 50000)) . address('10.9.9.9', 50000));
    for (['port-zero', 'port 0', $server, 0], ['privileged-port', 'port 22, written 00022', $server, '00022'], ['reserved-port', 'port 111', $server, 111],
        ['malformed', 'a port above 65535', $server, 65558], ['malformed', 'a number above 255 in an address', '10.222.111.258', 50000]) {
        my ($reason, $name, @to) = @$_;
        tns($reason, $name, redirect(address(@to)) . address(@to));
    }
    tns('malformed', 'a text that is longer than it says', pack('nnCCnn', 74, 0, 5, 0, 0, 10) . '(' x 64);
    tns('split', 'a redirect in two segments', redirect(address($server, 50000)), address($server, 50000));
    answer('WAIT', pack('nnCCnn', 12, 0, 6, 0, 0, 0) . 'ab');
    attempt('tns inet tcp', 'stale-private', 'what is noted in the flow is not ours', sub {
        tcp('client', 40004, $server, 1521, $connect, sub {
            there('got'); within('router'); private('tns', '07', 6, 40004, 1521); within('client'); written('go', '');
        });
    });

    answer();
    tftp('too-long', 'a name of 300 bytes', pack('n', 1) . 'a' x 300 . "\0octet\0");
    tftp('malformed', 'a name without an end', pack('n', 1) . 'aaaa');
    tftp('malformed', 'a mode that TFTP does not have', pack('n', 1) . "file\0fast\0");
    tftp('malformed', 'a name with a line feed', pack('n', 1) . "fi\nle\0octet\0");
    tftp('nothing', 'half a number', "\0");
    tftp('privileged-port', 'a request from port 900', pack('n', 1) . "file\0octet\0", 900);
    tftp('reserved-port', 'a request from port 111', pack('n', 1) . "file\0octet\0", 111);
    answer(pack('n', 1) . "file\0octet\0");
    attempt('tftp inet udp', 'nothing', 'a server that asks', sub { udp('client', 0, $server, 69, 1, pack 'n2', 3, 1) });

    answer();
    my @mdns = ('224.0.0.251', 5353);
    asks('mdns inet udp', 'malformed', 'a query that ends too soon', @mdns, pack('n6', 1, 0, 1, 0, 0, 0) . ' x');
    asks('mdns inet udp', 'privileged-port', 'a query from port 900', @mdns, $query, 900);
    asks('mdns inet udp', 'reserved-port', 'a query from port 111', @mdns, $query, 111);
    asks('mdns inet udp', 'nothing', 'a query to one host', $server, 5353, $query);
    asks('mdns inet udp', 'nothing', 'an answer to the group', @mdns, pack('n6', 1, 0x8400, 1, 1, 0, 0) . "\1x\0");
    my @slp = ('239.255.255.253', 427);
    asks('slp inet udp', 'malformed', 'lengths that lie', @slp, "\2\1\0" . pack('n', 900) . substr $service, 5);
    asks('slp inet udp', 'privileged-port', 'a request from port 900', @slp, $service, 900);
    asks('slp inet udp', 'reserved-port', 'a request from port 111', @slp, $service, 111);
    asks('slp inet udp', 'nothing', 'a request to one host', $server, 427, $service);
    dhcpv6('malformed', 'half a transaction', 'ff02::1:2', "\1\0");
    dhcpv6('nothing', 'a client at another port', 'ff02::1:2', "\1\0\0\1", 40006);
    dhcpv6('nothing', "a message that is no client's", 'ff02::1:2', "\x0e\0\0\1");
    dhcpv6('nothing', 'a message to one host', 'fe80::2', "\1\0\0\1");

    asks('ssdp inet udp', 'privileged-port', 'a search from port 900', @group, $search, 900);
    asks('ssdp inet udp', 'reserved-port', 'a search from port 111', @group, $search, 111);
    $allowed = qr/^17 40005$/; # answers to the search
    located('foreign-address', 'LOCATION at another host', 'LOCATION: http://10.1.0.2:50000/');
    located('port-zero', 'LOCATION at port 0', "LOCATION: http://$server:0/");
    located('privileged-port', 'LOCATION at port 22', "LOCATION: http://$server:22/");
    located('reserved-port', 'LOCATION at port 111', "LOCATION: http://$server:111/");
    located('malformed', 'LOCATION at a port above 65535', "LOCATION: http://$server:65558/");
    located('malformed', 'LOCATION with a name', 'LOCATION: http://device.local:50000/');
    located('malformed', 'LOCATION with a user', "LOCATION: http://$server:50000\@10.1.0.2/");
    located('too-long', 'LOCATION of 300 bytes', "LOCATION: http://$server:50000/" . 'a' x 300);
    located('split', 'an answer that ends in its LOCATION', "LOCATION: http://$server:50000/", '');
    located('split', 'an answer without an end', "USN: x\r\n", '');
    $allowed = qr/^$/;
    answer("HTTP/1.1 200 OK\r\nLOCATION: http://$server:8080/d.xml\r\n\r\n");
    attempt('ssdp inet udp', 'nothing', 'an answer to something else than a search', sub { udp('router', "$router:40005", $server, 1900, 1, 'x') });
    $allowed = qr/^17 40005$/;
    my $subscribe = "SUBSCRIBE /e HTTP/1.1\r\nHOST: x\r\n";
    my $callback = sub { return "CALLBACK: <http://$_[0]/>\r\n\r\n" };
    subscribed('foreign-address', 'CALLBACK at another host', $subscribe . $callback->('10.1.0.2:50000'));
    subscribed('port-zero', 'CALLBACK at port 0', $subscribe . $callback->("$router:0"));
    subscribed('privileged-port', 'CALLBACK at port 22', $subscribe . $callback->("$router:22"));
    subscribed('reserved-port', 'CALLBACK at port 111', $subscribe . $callback->("$router:111"));
    subscribed('malformed', 'CALLBACK with a name', $subscribe . $callback->('router:50000'));
    subscribed('too-long', 'CALLBACK of 300 bytes', $subscribe . $callback->("$router:50000/" . 'a' x 300));
    subscribed('split', 'a subscription in two segments', $subscribe, $callback->("$router:50000"));
    subscribed('unasked', 'an event that nobody has subscribed to', "NOTIFY /e HTTP/1.1\r\n\r\n");
    $allowed = qr/^$/;

    # What is larger than a page, or comes in fragments, passes whole.
    alarm 120;
    answer('b' x 8000 . "\r\n", 'c' x 8000 . "\r\n");
    my $all = tcp('client', 0, $server, 21, 'a' x 8000 . "\r\n", "USER u\r\n");
    verdict('segments of 8,000 bytes pass', $all == 16004 ? 'ok' : "$all bytes");
    answer('b' x 60000);
    $all = udp('client', 0, $server, 10080, 1, 'a' x 60000);
    verdict('a datagram of 60,000 bytes passes', $all == 60000 ? 'ok' : "$all bytes");
    within('router');
    flushed();
} elsif ($part eq 'translated') {
    answer();
    asks('mdns inet udp', 'cannot-translate', 'a query that is translated', '224.0.0.251', 5353, $query);
    asks('slp inet udp', 'cannot-translate', 'a request that is translated', '239.255.255.253', 427, $service);
    asks('ssdp inet udp', 'cannot-translate', 'a search that is translated', @group, $search);
    answer("220 ready\r\n");
    attempt('ftp inet6 tcp', 'cannot-translate', 'EPRT over IPv6 that would change its length', sub { tcp('client', 0, 'fd00:2::2', 21, "USER u\r\n", "EPRT |2|fd00:1::2|50000|\r\n") });
} elsif ($part eq 'settings') {
    my $request = pack('n', 1) . "file\0octet\0";
    answer();
    tftp('sender-not-allowed', 'a sender that is not allowed', $request, '10.1.1.2:0');
    $allowed = qr/^17 40007$/;
    attempt('tftp inet udp', 'too-many', 'more than may wait', sub {
        for my $own (40007, 40008) { unlink "$dir/got"; udp('client', $own, $server, 69, 0, $request, sub { there('got') }) }
    });
} else {
    die "attack.pl: no part '$part'\n";
}
written('counts', join '', map { "$_ $counts{$_}\n" } sort keys %counts);
exit $bad;
