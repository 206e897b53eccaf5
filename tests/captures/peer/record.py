#!/usr/bin/env python3
"""Records what two real conntrackd 1.4.7 send each other, and the kernel events that cause it.

    tests/captures/peer/record.py SCENARIO > tests/captures/peer/SCENARIO.txt      (as root)

Two daemons in two private network namespaces send by way of a third, in which this program relays, drops what
the scenario wants dropped, and writes down everything in one order. A line is

    milliseconds  node  event  hex      a conntrack message of node's kernel, as an event listener gets it
    milliseconds  A>B   sent   hex      a datagram that was passed on (or B>A)
    milliseconds  A>B   lost   hex      a datagram that was dropped
    milliseconds  node  start|kill|resync|bulk

Needs Debian's conntrackd, conntrack and nftables. The namespaces are removed at the end, daemons are stopped by pid.
"""
import ctypes, os, select, shutil, signal, socket, subprocess, sys, tempfile, time

LIBC = ctypes.CDLL(None, use_errno=True)
NS = {"A": "zct-rec-a", "B": "zct-rec-b", "R": "zct-rec-r"}
NODE = {"A": ("10.99.1.1", "10.99.1.2"), "B": ("10.99.2.1", "10.99.2.2")}
PORT = 3780


def sh(*words, check=True):
    return subprocess.run(words, check=check, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE if not check else None)


def inside(node, *words):
    return sh("ip", "netns", "exec", NS[node], *words, check=False)


def socket_in(node, *args):
    """A socket that belongs to the namespace of `node`."""
    with open("/proc/self/ns/net") as home, open(f"/run/netns/{NS[node]}") as there:
        if LIBC.setns(there.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            return socket.socket(*args)
        finally:
            LIBC.setns(home.fileno(), 0x40000000)


class Recorder:
    def __init__(self, directory, mode="FTFW", mode_options="", options=""):
        self.directory, self.mode, self.mode_options, self.options = directory, mode, mode_options, options
        self.filter = ""
        self.daemons, self.begin, self.drop, self.lines = {}, time.monotonic(), lambda way, bytes: False, []

    def network(self):
        for ns in NS.values():
            sh("ip", "netns", "add", ns)
            sh("ip", "-n", ns, "link", "set", "lo", "up")
        for node, (local, relay) in NODE.items():
            ns, low = NS[node], node.lower()
            sh("ip", "link", "add", "up0", "netns", ns, "type", "veth", "peer", "name", f"to-{low}", "netns", NS["R"])
            sh("ip", "-n", ns, "addr", "add", f"{local}/24", "dev", "up0")
            sh("ip", "-n", NS["R"], "addr", "add", f"{relay}/24", "dev", f"to-{low}")
            sh("ip", "-n", ns, "link", "set", "up0", "up")
            sh("ip", "-n", NS["R"], "link", "set", f"to-{low}", "up")
            sh("ip", "netns", "exec", ns, "sysctl", "-qw", "net.netfilter.nf_conntrack_events=1")
        self.relay, self.events = {}, {}
        for node, (_, relay) in NODE.items():
            s = socket_in("R", socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)
            s.bind((relay, PORT))
            self.relay[node] = s
            e = socket_in(node, socket.AF_NETLINK, socket.SOCK_RAW, 12)
            e.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)
            e.bind((0, 0x7))
            self.events[node] = e

    def write(self, who, what, data=b""):
        ms = int((time.monotonic() - self.begin) * 1000)
        self.lines.append(f"{ms} {who} {what} {data.hex()}".rstrip())

    def run(self, seconds):
        """Relays and records for this many seconds."""
        end = time.monotonic() + seconds
        sockets = list(self.events.values()) + list(self.relay.values())
        while (left := end - time.monotonic()) > 0:
            select.select(sockets, [], [], left)
            # Events first: a datagram is never written down before the event that made it.
            for node, s in self.events.items():
                for data in drain(s):
                    self.write(node, "event", data)
            for node, s in self.relay.items():
                for data in drain(s):
                    other = "B" if node == "A" else "A"
                    way = f"{node}>{other}"
                    if self.drop(way, data):
                        self.write(way, "lost", data)
                    else:
                        self.write(way, "sent", data)
                        self.relay[other].sendto(data, (NODE[other][0], PORT))

    def file(self, node, kind):
        return os.path.join(self.directory, f"{node}.{kind}")

    def start(self, node):
        local, relay = NODE[node]
        with open(self.file(node, "conf"), "w") as f:
            f.write(f"""Sync {{
    Mode {self.mode} {{
{self.mode_options}
    }}
    UDP {{
        IPv4_address {local}
        IPv4_Destination_Address {relay}
        Port {PORT}
        Interface up0
    }}
{self.options}
}}
General {{
    HashSize 32768
    LockFile {self.file(node, "lock")}
    UNIX {{
        Path {self.file(node, "sock")}
    }}
    NetlinkBufferSize 8388608
    NetlinkBufferSizeMaxGrowth 16777216
    Scheduler {{
        Type FIFO
        Priority 0
    }}
{self.filter}
}}
""")
        log = open(self.file(node, "log"), "a")
        command = ["ip", "netns", "exec", NS[node], "conntrackd", "-C", self.file(node, "conf")]
        self.write(node, "start")
        self.daemons[node] = subprocess.Popen(command, stdout=log, stderr=log)
        self.run(0.3)

    def kill(self, node):
        self.write(node, "kill")
        daemon = self.daemons.pop(node)
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
        for kind in ("lock", "sock"):
            if os.path.exists(self.file(node, kind)):
                os.unlink(self.file(node, kind))

    def client(self, node, option, word):
        self.write(node, word)
        inside(node, "conntrackd", "-C", self.file(node, "conf"), option)

    def conntrack(self, node, *words, pause=0.05):
        done = inside(node, "conntrack", *words)
        if done.returncode:
            sys.exit(f"conntrack {' '.join(words)}: {done.stderr.decode()}")
        self.run(pause)

    def tcp(self, node, port, *more, pause=0.05):
        self.conntrack(node, "-I", "-p", "tcp", "-s", "10.1.0.2", "-d", "10.2.0.2", "--sport", str(port),
                       "--dport", "80", "--state", "ESTABLISHED", "-t", "432000", "-u", "SEEN_REPLY,ASSURED",
                       *more, pause=pause)

    def close(self):
        for daemon in self.daemons.values():
            daemon.terminate()
            daemon.wait()
        for ns in NS.values():
            sh("ip", "netns", "del", ns, check=False)


def drain(s):
    while True:
        try:
            yield s.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return


def attributes(r):
    """Every attribute that conntrack(8) can make, each on its own flow, which is then changed and ended."""
    r.network()
    r.start("A")
    r.start("B")
    r.run(2.5)
    addr = ["-s", "10.1.0.2", "-d", "10.2.0.2"]
    addr6 = ["-s", "fd01::2", "-d", "fd02::2"]
    ports = ["--sport", "1000", "--dport", "53"]
    tcp = ["-p", "tcp", "--sport", "2000", "--dport", "80", "--state", "ESTABLISHED"]
    flows = [
        ["-p", "udp", *addr, *ports],
        ["-p", "udp", *addr6, *ports],
        [*tcp, *addr],
        [*tcp, *addr6],
        [*tcp, "-s", "10.1.0.3", "-d", "10.2.0.2", "--src-nat", "10.2.0.1:40046"],
        [*tcp, "-s", "10.1.0.4", "-d", "10.2.0.2", "--dst-nat", "10.3.0.1:8080"],
        [*tcp, "-s", "10.1.0.5", "-d", "10.2.0.2", "--src-nat", "10.2.0.9"],
        [*tcp, "-s", "fd01::5", "-d", "fd02::2", "--src-nat", "fd02::9"],
        [*tcp, "-s", "10.1.0.6", "-d", "10.2.0.2", "-m", "0x1234"],
        ["-p", "udp", "-s", "10.1.0.7", "-d", "10.2.0.2", *ports, "-w", "7"],
        ["-p", "icmp", *addr, "--icmp-type", "8", "--icmp-code", "0", "--icmp-id", "77"],
        ["-p", "icmpv6", *addr6, "--icmpv6-type", "128", "--icmpv6-code", "0", "--icmpv6-id", "513"],
        ["-p", "sctp", *addr, "--sport", "3000", "--dport", "80", "--state", "ESTABLISHED", "--orig-vtag", "1",
         "--reply-vtag", "2"],
        ["-p", "udplite", *addr, *ports],
        ["-p", "gre", *addr, "--srckey", "1", "--dstkey", "2"],
        ["-p", "201", *addr],
    ]
    for flow in flows:
        r.conntrack("A", "-I", *flow, "-t", "600", "-u", "SEEN_REPLY,ASSURED")
    for flow in flows[:4]:
        selector = [w for w in flow if w not in ("--state", "ESTABLISHED")]
        r.conntrack("A", "-U", *selector, "-t", "300")
        r.conntrack("A", "-U", *selector, "-m", "9")
    r.conntrack("A", "-U", "-p", "tcp", *addr, "--sport", "2000", "--dport", "80", "--state", "FIN_WAIT")
    r.run(1.2)
    for flow in flows[:6]:
        selector = [w for w in flow if w not in ("--state", "ESTABLISHED")]
        r.conntrack("A", "-D", *selector)
    r.run(2.5)


def start(r):
    """One node alone, the other later; a crash and a restart; a resync on demand."""
    r.network()
    r.start("A")
    r.run(2.5)
    for port in range(3):
        r.tcp("A", 100 + port)
    r.run(2)
    r.start("B")
    r.run(3.5)
    r.tcp("A", 200)
    r.tcp("B", 300)
    r.run(3)
    r.kill("B")
    r.run(1.5)
    r.tcp("A", 201)
    r.start("B")
    r.run(3)
    r.client("B", "-n", "resync")
    r.run(2.5)
    r.client("A", "-B", "bulk")
    r.run(2.5)


def loss(r):
    """Lost data, lost acknowledgements, a lost answer to a request; late and duplicated datagrams."""
    r.network()
    r.start("A")
    r.start("B")
    r.run(3.5)
    r.tcp("A", 100)
    r.run(1.5)
    r.drop = lambda way, data: way == "A>B"
    for port in range(4):
        r.tcp("A", 200 + port)
    r.drop = lambda way, data: False
    r.tcp("A", 300)
    r.run(2)
    r.drop = lambda way, data: way == "B>A"
    r.tcp("A", 400)
    r.tcp("A", 401)
    r.run(1.5)
    r.drop = lambda way, data: False
    r.run(3)
    # The retransmission is lost as well.
    count = [0]

    def first_two(way, data):
        count[0] += way == "A>B"
        return way == "A>B" and count[0] <= 2

    r.drop = first_two
    for port in range(4):
        r.tcp("A", 500 + port)
    r.run(4)
    # Both directions, at random but repeatably.
    state = [12345]

    def some(way, data):
        state[0] = (state[0] * 1103515245 + 12345) & 0x7FFFFFFF
        return state[0] >> 16 & 3 == 0

    r.drop = some
    for port in range(20):
        r.tcp("A" if port % 3 else "B", 600 + port)
    r.drop = lambda way, data: False
    r.run(5)


def window(r):
    """Acknowledgements by a window of 20, and a resend queue of 10 that overflows."""
    r.mode_options = "        ACKWindowSize 20\n        ResendQueueSize 30"
    r.network()
    r.start("A")
    r.start("B")
    r.run(3.5)
    for port in range(45):
        r.tcp("A", 100 + port, pause=0.02)
    r.run(2.5)
    r.drop = lambda way, data: way == "B>A"
    for port in range(40):
        r.tcp("A", 200 + port, pause=0.02)
    r.drop = lambda way, data: False
    r.run(3)
    r.drop = lambda way, data: way == "A>B"
    for port in range(40):
        r.tcp("A", 300 + port, pause=0.02)
    r.drop = lambda way, data: False
    r.run(3)


def notrack(r):
    """NOTRACK: flows, ALIVE when idle, a resync on demand; nobody repairs losses."""
    r.mode = "NOTRACK"
    r.network()
    r.start("A")
    r.start("B")
    r.run(2.5)
    for port in range(5):
        r.tcp("A", 100 + port)
    r.drop = lambda way, data: way == "A>B"
    r.tcp("A", 200)
    r.drop = lambda way, data: False
    r.conntrack("A", "-D", "-p", "tcp", "-s", "10.1.0.2", "-d", "10.2.0.2", "--sport", "100", "--dport", "80")
    r.run(2.5)
    r.client("B", "-n", "resync")
    r.run(2.5)


def traffic(r):
    """Flows made by packets: TCP, UDP and a ping, over IPv4 and IPv6, with and without translation."""
    r.filter = """    Filter From Userspace {
        Address Ignore {
            IPv4_address 10.99.0.0/16
        }
    }"""
    r.network()
    rules = """table inet t {
        chain o { type filter hook output priority 0; ct state new accept; }
    }
    table ip n {
        chain d { type nat hook output priority -100; tcp dport 8081 dnat to 127.0.0.1:8080; }
        chain s { type nat hook postrouting priority 100; tcp dport 8082 snat to 127.0.0.9; }
    }"""
    subprocess.run(["ip", "netns", "exec", NS["A"], "nft", "-f", "-"], input=rules.encode(), check=True)
    r.start("A")
    r.start("B")
    r.run(2.5)
    servers = []
    for family, host, ports in ((socket.AF_INET, "127.0.0.1", (8080, 8082)), (socket.AF_INET6, "::1", (8080,))):
        for port in ports:
            s = socket_in("A", family, socket.SOCK_STREAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((host, port))
            s.listen()
            servers.append(s)
    for family, host, port in ((socket.AF_INET, "127.0.0.1", 8080), (socket.AF_INET6, "::1", 8080),
                               (socket.AF_INET, "127.0.0.1", 8081), (socket.AF_INET, "127.0.0.1", 8082)):
        c = socket_in("A", family, socket.SOCK_STREAM)
        c.connect((host, port))
        r.run(0.3)
        for s in servers:
            s.setblocking(False)
            try:
                s.accept()[0].close()
            except BlockingIOError:
                pass
        c.close()
        r.run(0.3)
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        server = socket_in("A", family, socket.SOCK_DGRAM)
        server.bind((host, 5300))
        c = socket_in("A", family, socket.SOCK_DGRAM)
        c.sendto(b"question", (host, 5300))
        r.run(0.2)
        server.sendto(b"answer", server.recvfrom(100)[1])
        r.run(0.2)
    for family, host, proto, request in ((socket.AF_INET, "127.0.0.1", 1, 8), (socket.AF_INET6, "::1", 58, 128)):
        s = socket_in("A", family, socket.SOCK_RAW, proto)
        packet = bytes([request, 0, 0, 0, 0x12, 0x34, 0, 1])
        if proto == 1:
            total = sum(int.from_bytes(packet[i:i + 2], "big") for i in range(0, 8, 2))
            total = ~(total + (total >> 16)) & 0xFFFF
            packet = packet[:2] + total.to_bytes(2, "big") + packet[4:]
        s.sendto(packet, (host, 0))
        r.run(0.3)
    r.run(2.5)


SCENARIOS = {f.__name__: f for f in (attributes, start, loss, window, notrack, traffic)}


def main():
    scenario = SCENARIOS.get(sys.argv[1] if len(sys.argv) == 2 else "")
    if scenario is None:
        sys.exit(f"usage: record.py {'|'.join(SCENARIOS)}")
    for program in ("conntrackd", "conntrack", "ip", "nft"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is missing: apt-get install conntrackd conntrack iproute2 nftables")
    with tempfile.TemporaryDirectory() as directory:
        r = Recorder(directory)
        try:
            scenario(r)
        finally:
            r.close()
        print(f"# {scenario.__doc__.splitlines()[0]}")
        print(f"# Made by tests/captures/peer/record.py {scenario.__name__}; the columns are explained there.")
        print("\n".join(r.lines))


main()
