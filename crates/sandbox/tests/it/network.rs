//! What containers reach, with another network namespace as the world outside.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::mpsc;

use pilotlight_sandbox::{ExitStatus, Network, PrivateNetworks, Signal, Spec, inside_addresses};

use crate::world::{World, unique};

#[path = "../../src/net/netlink.rs"]
#[expect(dead_code, reason = "the crate's own, of which a test needs less")]
mod netlink;

use netlink::{ACK, Batch, CREATE, EXCLUSIVE, Socket};

/// A program that connects, sends a word and prints the answer, or the error's number.
const CLIENT: &str = r"
import socket, sys
try:
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3]))
    s.sendall(b'ping'); s.shutdown(socket.SHUT_WR); print(s.makefile().read())
except OSError as e: print('failed', e.errno or 'timeout')
";

fn client(world: &World, to: SocketAddr, network: Network, timeout: &str) -> Spec {
    let (ip, port) = (to.ip().to_string(), to.port().to_string());
    let mut spec = world.spec(&["python3", "-c", CLIENT, &ip, &port, timeout]);
    spec.network = network;
    spec
}

/// A neighbour of this host: a namespace at the other end of a link, with a listener that tells who connects.
struct Neighbour {
    address: SocketAddr,
    link: String,
    namespace: fs_err::File,
}

impl Neighbour {
    /// `subnet`: one per test, since they run at the same time.
    fn new(subnet: u8) -> Neighbour {
        Neighbour::at(Ipv4Addr::new(198, 18, subnet, 1), 0)
    }

    /// `outside`: this host's address on the link; the neighbour's is the next one.
    fn at(outside: Ipv4Addr, port: u16) -> Neighbour {
        let [a, b, subnet, last] = outside.octets();
        let inside = Ipv4Addr::new(a, b, subnet, last + 1);
        let link = format!("tn{subnet}-{}", std::process::id() % 100_000);
        let index = 0x0060_0000 + u32::from(subnet);
        let (namespace_sender, namespace) = mpsc::channel();
        let (linked, is_linked) = mpsc::channel::<()>();
        let (address_sender, address) = mpsc::channel();
        std::thread::spawn(move || {
            #[expect(deprecated, reason = "it is unsafe only with the flag for descriptors")]
            rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET).unwrap();
            namespace_sender.send(fs_err::File::open("/proc/thread-self/ns/net").unwrap()).unwrap();
            is_linked.recv().unwrap();
            let mut batch = Batch::default();
            batch.add(libc::RTM_NEWLINK, ACK, &link_head(2, true), |_| {});
            add_address(&mut batch, 2, inside);
            Socket::route().unwrap().send(&batch).unwrap();
            let listener = TcpListener::bind((inside, port)).unwrap();
            address_sender.send(listener.local_addr().unwrap()).unwrap();
            tell_who_connects(&listener);
        });
        let namespace = namespace.recv().unwrap();
        let mut batch = Batch::default();
        batch.add(libc::RTM_NEWLINK, ACK | CREATE | EXCLUSIVE, &link_head(index, true), |attributes| {
            attributes.text(libc::IFLA_IFNAME, &link);
            attributes.nest(libc::IFLA_LINKINFO, |attributes| {
                attributes.text(libc::IFLA_INFO_KIND, "veth");
                attributes.nest(libc::IFLA_INFO_DATA, |attributes| {
                    attributes.nest_with_head(1, &link_head(2, false), |attributes| {
                        attributes.text(libc::IFLA_IFNAME, "eth0");
                        attributes.number(libc::IFLA_NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
                    });
                });
            });
        });
        add_address(&mut batch, index, outside);
        Socket::route().unwrap().send(&batch).unwrap();
        linked.send(()).unwrap();
        Neighbour { address: address.recv().unwrap(), link, namespace }
    }
}

impl Neighbour {
    /// Connects from there, with `router` as the way to everywhere. What went wrong, if anything.
    fn connect(&self, to: (Ipv4Addr, u16), router: Ipv4Addr, seconds: f32) -> Option<io::ErrorKind> {
        let there = || {
            let namespace = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(self.namespace.as_fd(), namespace).unwrap();
            let mut batch = Batch::default();
            // struct rtmsg: IPv4, no prefix; the main table, static, universe, unicast.
            let default = [2, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
            batch.add(libc::RTM_NEWROUTE, ACK | CREATE, &default, |attributes| {
                attributes.put(libc::RTA_GATEWAY, &router.octets());
            });
            let _ = Socket::route().unwrap().send(&batch);
            let wait = std::time::Duration::from_secs_f32(seconds);
            std::net::TcpStream::connect_timeout(&to.into(), wait).err().map(|error| error.kind())
        };
        std::thread::scope(|scope| scope.spawn(there).join().unwrap())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let mut batch = Batch::default();
        batch.add(libc::RTM_DELLINK, ACK, &link_head(0, false), |attributes| {
            attributes.text(libc::IFLA_IFNAME, &self.link);
        });
        let _ = Socket::route().and_then(|socket| socket.send(&batch));
    }
}

/// Serves until the test's process ends.
fn tell_who_connects(listener: &TcpListener) {
    while let Ok((mut stream, from)) = listener.accept() {
        let mut word = String::new();
        if stream.read_to_string(&mut word).is_ok() {
            let _ = write!(stream, "{word} from {}", from.ip());
        }
    }
}

fn link_head(index: u32, up: bool) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8] = u8::from(up);
    bytes[12] = u8::from(up);
    bytes
}

fn add_address(batch: &mut Batch, index: u32, address: Ipv4Addr) {
    let head = [&[2, 24, 0, 0], &index.to_ne_bytes()[..]].concat();
    batch.add(libc::RTM_NEWADDR, ACK | CREATE, &head, |attributes| {
        attributes.put(libc::IFA_LOCAL, &address.octets());
        attributes.put(libc::IFA_ADDRESS, &address.octets());
    });
}

#[test]
fn outbound_connections_leave_with_the_hosts_address() {
    let mut world = World::new();
    let neighbour = Neighbour::new(1);
    // The neighbour has no route back to a container's address: only translated packets are answered.
    let spec = client(&world, neighbour.address, Network::Outbound, "10");
    let output = world.run(&spec);
    assert_eq!(output.stdout, "ping from 198.18.1.1\n", "{output:?}");
}

#[test]
fn of_link_local_addresses_only_name_servers_are_reached() {
    let mut world = World::new();
    // As a cloud's metadata service is, from which anybody gets the machine's credentials.
    let metadata = Neighbour::at(Ipv4Addr::new(169, 254, 213, 1), 80);
    let spec = client(&world, metadata.address, Network::Outbound, "0.3");
    assert_eq!(world.run(&spec).stdout, "failed timeout\n");
    let resolver = Neighbour::at(Ipv4Addr::new(169, 254, 214, 1), 53);
    let spec = client(&world, resolver.address, Network::Outbound, "10");
    assert_eq!(world.run(&spec).stdout, "ping from 169.254.214.1\n");
}

#[test]
fn private_networks_are_reached_as_the_setting_says() {
    // Two neighbours in a private range; servers of three settings run side by side.
    let [one, two] = [5, 6].map(|subnet| Neighbour::at(Ipv4Addr::new(10, 214, subnet, 1), 0));
    let settings = ["allow", "deny", "10.214.6.0/24"].map(|text| text.parse::<PrivateNetworks>().unwrap());
    let mut worlds = settings.map(|private| {
        let run_dir = std::path::Path::new("/run/pilotlight").join(unique());
        World::with(&run_dir, |options| options.private = private)
    });
    let mut ask = |world: usize, neighbour: &Neighbour, seconds: &str, name: &str| {
        let mut spec = client(&worlds[world], neighbour.address, Network::Outbound, seconds);
        spec.id.push_str(name);
        worlds[world].run(&spec).stdout
    };
    assert_eq!(ask(0, &one, "10", "-one"), "ping from 10.214.5.1\n");
    assert_eq!(ask(1, &one, "0.3", "-one"), "failed timeout\n");
    assert_eq!(ask(1, &two, "0.3", "-two"), "failed timeout\n");
    assert_eq!(ask(2, &one, "0.3", "-one"), "failed timeout\n");
    assert_eq!(ask(2, &two, "10", "-two"), "ping from 10.214.6.1\n");
}

#[test]
fn without_a_network_there_is_only_loopback() {
    let mut world = World::new();
    let neighbour = Neighbour::new(2);
    let spec = client(&world, neighbour.address, Network::None, "10");
    // ENETUNREACH
    assert_eq!(world.run(&spec).stdout, "failed 101\n");
    let script = "import socket\ns = socket.create_server(('127.0.0.1', 0))\nsocket.create_connection(s.getsockname())\nprint([n for _, n in socket.if_nameindex()])";
    let spec = world.spec(&["python3", "-c", script]);
    let output = world.run(&spec);
    assert!(output.stdout.starts_with("['lo'"), "{output:?}");
    assert!(!output.stdout.contains("eth0"), "{output:?}");
}

#[test]
fn low_ports_and_ping_need_no_right_inside() {
    let mut world = World::new();
    let script = "import socket\ns = socket.create_server(('127.0.0.1', 80))\n\
        p = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP); p.settimeout(5)\n\
        p.sendto(bytes([8, 0, 0, 0, 0, 0, 0, 1]), ('127.0.0.1', 0)); print(p.recv(99)[0])";
    let spec = world.spec(&["python3", "-c", script]);
    let output = world.run(&spec);
    // 0 is an echo's reply.
    assert_eq!(output.stdout, "0\n", "{output:?}");
}

#[test]
fn the_hosts_own_listeners_are_out_of_reach() {
    let mut world = World::new();
    let listener = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let neighbour = Neighbour::new(3);
    let IpAddr::V4(theirs) = neighbour.address.ip() else { panic!("an IPv4 neighbour") };
    // The address of the host on another link, and the one at the other end of the container's own.
    let on_link = Ipv4Addr::from(u32::from(theirs) - 1);
    let gateway = "import socket, struct\nline = [l.split() for l in open('/proc/net/route')][1]\n\
        s = socket.socket(); s.settimeout(0.5)\n\
        a = socket.inet_ntoa(struct.pack('<L', int(line[2], 16)))\n\
        try: s.connect((a, PORT)); print('reached')\nexcept OSError as e: print(a[:7], e)";
    let gateway = gateway.replace("PORT", &port.to_string());
    let mut spec = world.spec(&["python3", "-c", &gateway]);
    spec.network = Network::Outbound;
    assert_eq!(world.run(&spec).stdout, "10.213. timed out\n");
    let spec = client(&world, (on_link, port).into(), Network::Outbound, "0.5");
    assert_eq!(world.run(&spec).stdout, "failed timeout\n");
    // It is the filter, not the listener.
    std::net::TcpStream::connect((on_link, port)).unwrap();
}

#[test]
fn of_the_addresses_of_inside_only_one_port_is_reached() {
    let mut world = World::new();
    // Of all addresses one that is nobody's: a server that lives takes the first that is free.
    let own = inside_addresses().last().unwrap();
    let listener = TcpListener::bind(own).unwrap();
    std::thread::spawn(move || tell_who_connects(&listener));
    let spec = client(&world, own.into(), Network::Outbound, "10");
    let output = world.run(&spec);
    assert!(output.stdout.starts_with("ping from 10.213."), "{output:?}");
    // Whatever listens on all addresses of the host listens there too.
    let everywhere = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = everywhere.local_addr().unwrap().port();
    let spec = client(&world, (*own.ip(), port).into(), Network::Outbound, "0.5");
    assert_eq!(world.run(&spec).stdout, "failed timeout\n");
    let mut spec = client(&world, own.into(), Network::None, "0.5");
    spec.id.push_str("-none");
    // ENETUNREACH
    assert_eq!(world.run(&spec).stdout, "failed 101\n");
}

#[test]
fn nobody_beside_this_machine_reaches_the_addresses_of_inside() {
    let _world = World::new();
    let own = inside_addresses().nth(252).unwrap();
    let listener = TcpListener::bind(own).unwrap();
    listener.set_nonblocking(true).unwrap();
    // Another machine of the network that names this one as its router.
    let outside = Ipv4Addr::new(198, 18, 4, 1);
    let neighbour = Neighbour::at(outside, 0);
    let open = TcpListener::bind((outside, 0)).unwrap();
    assert_eq!(neighbour.connect((outside, open.local_addr().unwrap().port()), outside, 10.0), None);
    assert_eq!(neighbour.connect((*own.ip(), own.port()), outside, 0.5), Some(io::ErrorKind::TimedOut));
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn containers_do_not_reach_each_other() {
    let mut world = World::new();
    let serve = "import socket\ns = socket.create_server(('0.0.0.0', 8000))\n\
        s2 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s2.connect(('198.18.0.9', 9))\n\
        print(s2.getsockname()[0], flush=True)\ns.accept()";
    let mut server = world.spec(&["python3", "-uc", serve]);
    server.network = Network::Outbound;
    let (_, mut pipes) = world.start(&server);
    let mut address = Vec::new();
    while !address.ends_with(b"\n") {
        let mut byte = [0];
        pipes.stdout.read_exact(&mut byte).unwrap();
        address.extend(byte);
    }
    let address: Ipv4Addr = String::from_utf8(address).unwrap().trim().parse().unwrap();
    assert_eq!(address.octets()[..2], [10, 213]);
    let spec = client(&world, (address, 8000).into(), Network::Outbound, "0.5");
    assert_eq!(world.run(&spec).stdout, "failed timeout\n");
    world.helper().signal(&server.id, Signal::Kill).unwrap();
    assert_eq!(world.ended(&server.id).0, ExitStatus::Signal(9));
}
