//! What hostile commands must not reach over a network, and what tests need to.
#![cfg(target_os = "linux")]

mod common;

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use common::{Fixture, python, text};

#[test]
fn there_is_no_way_out() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let script = "
import errno, socket
print([name for _, name in socket.if_nameindex()])
for family, address in ((socket.AF_INET, '1.1.1.1'), (socket.AF_INET, '169.254.169.254'), (socket.AF_INET, '10.0.0.1'), (socket.AF_INET6, '2606:4700:4700::1111')):
  for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    try:
      s = socket.socket(family, kind); s.settimeout(3); s.connect((address, 80)); print('reached', address)
    except OSError as error: print(errno.errorcode.get(error.errno))
for raw in ((socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_PACKET, socket.SOCK_RAW, 3)):
  try: socket.socket(*raw); print('raw')
  except OSError: print('no raw')
";
    let outcome = python(&mut sandbox, &fixture.root, script);
    let expected = format!("['lo']\n{}{}", "ENETUNREACH\n".repeat(8), "no raw\n".repeat(2));
    assert_eq!(String::from_utf8_lossy(&outcome.stdout), expected, "{}", text(&outcome));
}

#[test]
fn services_on_the_hosts_loopback_are_not_reachable() {
    let fixture = Fixture::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut sandbox = fixture.open();
    let script = format!(
        "import socket\nfor host in ('127.0.0.1', 'localhost', '0.0.0.0'):\n  try: socket.create_connection((host, {port}), 3); print('reached')\n  except OSError as e: print('refused')"
    );
    let outcome = python(&mut sandbox, &fixture.root, &script);
    assert_eq!(outcome.stdout, b"refused\nrefused\nrefused\n", "{}", text(&outcome));
    assert!(listener.accept().is_err(), "somebody connected");
}

#[test]
fn abstract_sockets_of_the_host_are_not_reachable() {
    let fixture = Fixture::new();
    let name = format!("greenlit-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut sandbox = fixture.open();
    let script = format!(
        "import socket\ns = socket.socket(socket.AF_UNIX)\ntry: s.connect('\\0{name}'); print('reached')\nexcept OSError: print('refused')"
    );
    assert_eq!(python(&mut sandbox, &fixture.root, &script).stdout, b"refused\n");
    assert!(listener.accept().is_err(), "somebody connected");
}

#[test]
fn loopback_works_inside() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let script = "
import os, socket
for family, host in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1')):
  server = socket.create_server((host, 0), family=family)
  client = socket.create_connection(server.getsockname()[:2])
  server.accept()[0].sendall(b'hello')
  print(client.recv(9))
server = socket.socket(socket.AF_UNIX); server.bind('\\0inside'); server.listen()
client = socket.socket(socket.AF_UNIX); client.connect('\\0inside'); print('abstract')
server = socket.socket(socket.AF_UNIX); server.bind(os.environ['TMPDIR'] + '/s'); server.listen()
client = socket.socket(socket.AF_UNIX); client.connect(os.environ['TMPDIR'] + '/s'); print('path')
print(socket.gethostbyname('localhost'))
";
    let outcome = python(&mut sandbox, &fixture.root, script);
    let expected = "b'hello'\nb'hello'\nabstract\npath\n127.0.0.1\n";
    assert_eq!(String::from_utf8_lossy(&outcome.stdout), expected, "{}", text(&outcome));
}
