use v5.36;
use IO::Socket::INET;
use JSON::PP qw(encode_json);

my $server = IO::Socket::INET->new(
    LocalAddr => '0.0.0.0',
    LocalPort => $ENV{PORT} // 3000,
    Listen    => 16,
    ReuseAddr => 1,
) or die "cannot listen: $!";

while (my $client = $server->accept) {
    while (my $line = <$client>) {
        last if $line =~ /^\r?\n$/;
    }
    my $body = encode_json({ hello => "from Perl $^V" });
    print $client "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n",
      'Content-Length: ', length $body, "\r\n\r\n", $body;
    close $client;
}
