# A device of UPnP for helpers-programs.sh: announces itself to minissdpd and serves its description.
#   device.pl SOCKET ADDRESS      minissdpd's socket; where the description is, at port 8080
use strict;
use Socket qw(:all);
$| = 1;
my ($path, $address) = @ARGV;
my $type = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1';
# A service is announced as four texts, each after its length in base 128: type, USN, server, location.
my $said = "\4" . join '', map { pack 'w/a*', $_ } $type, "uuid:12345678-1234-1234-1234-123456789abc::$type", 'Lab/1.0 UPnP/1.1', "http://$address:8080/desc.xml";
for (1 .. 200) {
    socket my $s, AF_UNIX, SOCK_STREAM, 0 or die "socket: $!\n";
    if (connect $s, pack_sockaddr_un($path)) { syswrite $s, $said; last }
    select undef, undef, undef, 0.1;
}
socket my $l, AF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
setsockopt $l, SOL_SOCKET, SO_REUSEADDR, 1;
bind $l, pack_sockaddr_in(8080, inet_aton($address)) or die "bind: $!\n";
listen $l, 5;
print "ready\n";
my $wan = '<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><serviceId>x</serviceId>'
    . '<controlURL>/c</controlURL><eventSubURL>/e</eventSubURL><SCPDURL>/s</SCPDURL></service>';
my $body = qq{<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceType>$type</deviceType>}
    . "<serviceList>$wan</serviceList></device></root>";
while (accept my $c, $l) {
    sysread $c, my $got, 9000;
    syswrite $c, "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    close $c;
}
