# Sockets by address and port, for announce.pl and attack.pl. Perl's base system is enough.
package Sockets;
use strict;
use Socket qw(:all);
use Exporter 'import';
our @EXPORT = qw(place bound listening connected);

# What an address and a port are to the kernel, in either family; %INTERFACE may follow the address.
sub place {
    my ($type, $host, $port) = @_;
    my ($e, $ai) = getaddrinfo($host, $port, { socktype => $type, flags => AI_NUMERICHOST });
    die "$host: $e\n" if $e;
    return $ai;
}
sub bound {
    my ($type, $host, $port) = @_;
    my $ai = place($type, $host, $port);
    socket my $s, $ai->{family}, $type, 0 or die "socket: $!\n";
    setsockopt $s, SOL_SOCKET, SO_REUSEADDR, 1;
    setsockopt $s, IPPROTO_IPV6, IPV6_V6ONLY, 1 if $ai->{family} == AF_INET6;
    bind $s, $ai->{addr} or die "bind $host $port: $!\n";
    return $s;
}
sub listening {
    my ($host, $port) = @_;
    my $s = bound(SOCK_STREAM, $host, $port);
    listen $s, 5 or die "listen: $!\n";
    return $s;
}
# A connection; from a socket that is bound already, or from any address and port.
sub connected {
    my ($host, $port, $s) = @_;
    my $ai = place(SOCK_STREAM, $host, $port);
    $s // socket $s, $ai->{family}, SOCK_STREAM, 0 or die "socket: $!\n";
    connect $s, $ai->{addr} or die "connect to $host port $port: $!\n";
    return $s;
}
1;
