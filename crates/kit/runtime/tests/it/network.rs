//! Real proxies, and machines without IPv6. `just test-network` runs them; they need root, HAProxy and nginx.

mod names;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
};

use berth_testkit::eventually;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Berth, program};

const DEBUG: (&str, &str) = ("BERTH__DEBUG__ROUTES", "true");
const JSON: (&str, &str) = ("BERTH__LOG__FORMAT", "json");
const PROXY: (&str, &str) = ("BERTH__SERVER__PROXY_PROTOCOL", "true");
/// The addresses that the proxies call us from; a client has another one.
const TRUSTED: (&str, &str) = (
    "BERTH__SERVER__TRUSTED_PROXIES",
    "[\"127.0.0.1\", \"127.0.0.2\"]",
);
const CLIENT: &str = "127.0.0.77";

/// A proxy, ended with the test.
struct Proxy {
    child: Child,
    _directory: TempDir,
}

impl Proxy {
    /// Starts it with this configuration, and waits until it takes connections on all of these.
    fn start(command: &mut Command, configuration: &str, addresses: &[SocketAddr]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("proxy.conf"), configuration).unwrap();
        let child = command.current_dir(&directory).spawn().unwrap();
        eventually("the proxy takes connections", || {
            let connects = |address| std::net::TcpStream::connect(address).is_ok();
            addresses.iter().all(connects)
        });
        Self {
            child,
            _directory: directory,
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free(host: &str) -> SocketAddr {
    let listener = TcpListener::bind((host, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// Who the client is, as a handler sees it, of a request to this address from [`CLIENT`], or from `::1` over IPv6.
fn client_ip(address: SocketAddr, headers: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--max-time",
        "10",
    ]);
    if address.is_ipv4() {
        curl.args(["--interface", CLIENT]);
    }
    for header in headers {
        curl.args(["--header", header]);
    }
    let output = curl
        .arg(format!("http://{address}/debug/headers"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    seen["client_ip"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs HAProxy"]
fn haproxy_names_its_clients_by_the_proxy_protocol() {
    let server = Berth::start_behind(&[DEBUG, JSON, TRUSTED, PROXY]);
    for how in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options unique-id,crc32c",
    ] {
        let (v4, v6) = (free("127.0.0.1"), free("::1"));
        let configuration = format!(
            "defaults\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
             listen berth\n mode tcp\n bind {v4}\n bind {v6}\n unique-id-format %ci\n \
             server berth {} {how} check inter 100ms source 127.0.0.1\n",
            server.addr
        );
        let mut haproxy = Command::new("haproxy");
        haproxy.args(["-q", "-db", "-f", "proxy.conf"]);
        let _proxy = Proxy::start(&mut haproxy, &configuration, &[v4, v6]);
        assert_eq!(client_ip(v4, &[]), CLIENT, "{how}");
        assert_eq!(client_ip(v6, &[]), "::1", "{how}");
        // What the client says of itself is not what the proxy says.
        let forged = ["X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9"];
        assert_eq!(client_ip(v4, &forged), CLIENT, "{how}");
    }
    let log = server.stop();
    assert!(
        !log.iter().any(|line| line.contains("203.0.113.9")),
        "{log:#?}"
    );
    assert!(
        !log.iter().any(|line| line.contains("\"level\":\"ERROR\"")),
        "{log:#?}"
    );
}

#[test]
#[ignore = "needs HAProxy"]
fn haproxy_names_its_clients_by_headers() {
    let server = Berth::start(&[DEBUG, TRUSTED]);
    // `option forwarded` came with HAProxy 2.8; this is what it writes.
    for (how, forged) in [
        ("option forwardfor", "X-Forwarded-For: 203.0.113.9"),
        (
            "http-request add-header Forwarded \"proto=http;for=\\\"%[src]\\\"\"",
            "Forwarded: for=203.0.113.9;x=\"",
        ),
    ] {
        let address = free("127.0.0.1");
        let configuration = format!(
            "defaults\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
             listen berth\n mode http\n bind {address}\n {how}\n server berth {} source 127.0.0.2\n",
            server.addr
        );
        let mut haproxy = Command::new("haproxy");
        haproxy.args(["-q", "-db", "-f", "proxy.conf"]);
        let _proxy = Proxy::start(&mut haproxy, &configuration, &[address]);
        assert_eq!(client_ip(address, &[]), CLIENT, "{how}");
        assert_eq!(client_ip(address, &[forged]), CLIENT, "{how}");
    }
    server.stop();
}

#[test]
#[ignore = "needs nginx"]
fn nginx_names_its_clients_through_a_chain() {
    let server = Berth::start(&[DEBUG, TRUSTED]);
    let (outer, inner) = (free("127.0.0.1"), free("127.0.0.1"));
    let hop = |listen: SocketAddr, next: SocketAddr, from: &str| {
        format!(
            "server {{ listen {listen}; location / {{ proxy_pass http://{next}; proxy_bind {from}; \
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }}\n"
        )
    };
    let configuration = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr;\nevents {{}}\n\
         http {{ access_log off; client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; \
         uwsgi_temp_path d; scgi_temp_path e;\n{}{} }}\n",
        hop(outer, inner, "127.0.0.2"),
        hop(inner, server.addr, "127.0.0.1"),
    );
    let mut nginx = Command::new("nginx");
    nginx
        .args(["-p", ".", "-c", "proxy.conf"])
        .stderr(Stdio::null());
    let _proxy = Proxy::start(&mut nginx, &configuration, &[outer, inner]);
    for entry in [outer, inner] {
        assert_eq!(client_ip(entry, &[]), CLIENT);
        assert_eq!(client_ip(entry, &["X-Forwarded-For: 203.0.113.9"]), CLIENT);
        assert_eq!(
            client_ip(entry, &["X-Forwarded-For: 203.0.113.9, 127.0.0.1"]),
            CLIENT
        );
        // nginx passes this one on as it is, so it contradicts the other.
        let forged = ["Forwarded: for=203.0.113.9"];
        assert_eq!(client_ip(entry, &forged), "127.0.0.1");
    }
    // Who comes without a proxy is who he is.
    assert_eq!(
        client_ip(server.addr, &["X-Forwarded-For: 203.0.113.9"]),
        CLIENT
    );
    server.stop();
}

/// Starts the program in a network and with a hosts file of its own, asks it over IPv4, and gives its log.
fn in_a_network(prepare: &str, wrapper: &str, hosts: &str, environment: &[(&str, &str)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::write(directory.path().join("hosts"), hosts).unwrap();
    let script = format!(
        "ip link set lo up; {prepare}\n\
         mount --bind '{hosts}' /etc/hosts\n\
         {wrapper} '{program}' 2>'{log}' & pid=$!\n\
         for _ in $(seq 100); do\n\
           curl -sf --noproxy '*' http://127.0.0.1:8080/health && break; kill -0 $pid; sleep 0.1\n\
         done\n\
         curl -sf --noproxy '*' http://127.0.0.1:8080/api/v1/hello\n\
         kill -TERM $pid; wait $pid",
        hosts = path("hosts"),
        program = program().display(),
        log = path("log"),
    );
    let output = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-ec", &script])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let log = fs::read_to_string(Path::new(&path("log"))).unwrap_or_default();
    assert!(output.status.success(), "{output:?}\n{log}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("healthy"),
        "{output:?}\n{log}"
    );
    log
}

const NO_IPV6: &str = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1";

#[test]
#[ignore = "needs root"]
fn localhost_is_served_where_one_of_its_addresses_is_missing() {
    // As in Docker: the hosts file has it, and `lo` does not.
    let hosts = "127.0.0.1 localhost\n::1 localhost\n";
    let log = in_a_network(NO_IPV6, "", hosts, &[("BERTH__SERVER__HOST", "localhost")]);
    assert!(
        log.contains("WARN  berth_kit::ports: cannot listen on [::1]:8080: "),
        "{log}"
    );
    assert!(log.contains("listening on http://127.0.0.1:8080 "), "{log}");
}

#[test]
#[ignore = "needs root"]
fn a_name_that_is_there_twice_is_bound_once() {
    let hosts = "127.0.0.1 localhost berth.test\n127.0.0.1 berth.test\n::1 berth.test\n";
    let log = in_a_network("", "", hosts, &[("BERTH__SERVER__HOST", "berth.test")]);
    assert_eq!(
        log.matches("listening on http://127.0.0.1:8080 ").count(),
        1,
        "{log}"
    );
    assert!(log.contains("listening on http://[::1]:8080 "), "{log}");
    assert!(!log.contains("WARN"), "{log}");
}

#[test]
#[ignore = "needs root"]
fn all_addresses_are_served_where_there_is_no_ipv6() {
    let host = [("BERTH__SERVER__HOST", "::")];
    let hosts = "127.0.0.1 localhost\n";
    // A kernel that has it, and no interface does; and one whose default is IPv6 alone.
    for prepare in [NO_IPV6, "sysctl -qw net.ipv6.bindv6only=1"] {
        let log = in_a_network(prepare, "", hosts, &host);
        assert!(
            log.contains("/api/v1/hello 127.0.0.1 | Status: 200"),
            "{log}"
        );
    }
    // A kernel without it: `ipv6.disable=1`.
    let directory = tempfile::tempdir().unwrap();
    let wrapper = directory.path().join("without-ipv6.py");
    fs::write(&wrapper, WITHOUT_IPV6).unwrap();
    let log = in_a_network(
        "",
        &format!("python3 '{}'", wrapper.display()),
        hosts,
        &host,
    );
    assert!(
        log.contains("WARN  berth_kit::ports: cannot listen on [::]:8080: "),
        "{log}"
    );
    assert!(log.contains("listening on http://0.0.0.0:8080 "), "{log}");
}

/// Runs a program that gets `EAFNOSUPPORT` for each socket of IPv6, by a filter of system calls.
const WITHOUT_IPV6: &str = r#"
import ctypes, os, platform, struct, sys
number = {"x86_64": 41, "aarch64": 198}[platform.machine()]
code = [
    (0x20, 0, 0, 0), (0x15, 0, 3, number),      # socket(2)?
    (0x20, 0, 0, 16), (0x15, 0, 1, 10),         # of AF_INET6?
    (0x06, 0, 0, 0x00050000 | 97), (0x06, 0, 0, 0x7fff0000),
]
program = b"".join(struct.pack("HBBI", *line) for line in code)
buffer = ctypes.create_string_buffer(program)
head = struct.pack("HxxxxxxP", len(code), ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.c_char_p(head)) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[1], sys.argv[1:])
"#;
