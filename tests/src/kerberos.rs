//! A real Kerberos realm, and a site whose workload logs in with its tickets.
//!
//! Set-up has unpacked MIT Kerberos' `krb5kdc` from Debian's packages; it runs as whoever runs the
//! tests.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::TempDir;

use crate::agent::Ended;
use crate::eventually::eventually;
use crate::process::Process;
use crate::site::{Configuration, Site};
use crate::user_servers::{Program, START, Slapd, architecture, started};

/// The realm [`Realm::NAME`] with its key distribution centre on a free loopback port. Ends with
/// this value.
pub struct Realm {
    // Dropped in this order: the server ends before its files go.
    server: Option<Process>,
    home: TempDir,
    port: u16,
}

impl Realm {
    /// Without principals but its own.
    pub fn start() -> Self {
        Self::start_ahead(0)
    }

    /// The same, its clock so many seconds ahead.
    pub fn start_ahead(seconds: u32) -> Self {
        started(|| Self::try_start(seconds))
    }

    fn try_start(ahead: u32) -> Option<Self> {
        let home = tempfile::tempdir().expect("a temporary directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.expect("a free port").port();
        let mut realm = Self { server: None, home, port };
        let modules = Program::find("usr/sbin/krb5kdc").root;
        let modules = modules.join("usr/lib").join(architecture()).join("krb5/plugins/kdb");
        let text = format!(
            "[kdcdefaults]\n kdc_listen = \"\"\n kdc_tcp_listen = 127.0.0.1:{port}\n\
             [realms]\n {name} = {{\n  database_name = {home}/database\n  \
             key_stash_file = {home}/stash\n  supported_enctypes = {types}\n }}\n\
             [dbmodules]\n db_module_dir = {modules}\n\
             [logging]\n kdc = FILE:{home}/log\n",
            name = Self::NAME,
            home = realm.home.path().display(),
            types = ENCTYPES.join(":normal ") + ":normal",
            modules = modules.display(),
        );
        std::fs::write(realm.home.path().join("kdc.conf"), text).expect("a configuration");
        std::fs::write(realm.krb5_conf(), Self::krb5_conf_of(&[port])).expect("a configuration");
        realm.run("usr/sbin/kdb5_util", &["create", "-s", "-P", "master"]);
        realm.serve(ahead).then_some(realm)
    }

    /// What the realm is called.
    pub const NAME: &str = "EXAMPLE.ORG";

    /// A `krb5.conf` whose servers of this realm listen on these loopback ports.
    pub fn krb5_conf_of(ports: &[u16]) -> String {
        let servers: Vec<String> =
            ports.iter().map(|port| format!("  kdc = 127.0.0.1:{port}\n")).collect();
        // TCP alone, for the incumbent.
        format!(
            "[libdefaults]\n default_realm = {name}\n dns_lookup_kdc = false\n \
             udp_preference_limit = 1\n preferred_preauth_types = 18\n\
             [realms]\n {name} = {{\n{}}}\n",
            servers.concat(),
            name = Self::NAME,
        )
    }

    /// A `krb5.conf` that names this server.
    pub fn krb5_conf(&self) -> PathBuf {
        self.home.path().join("krb5.conf")
    }

    /// On 127.0.0.1, TCP.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server; [`Realm::up`] starts it again.
    pub fn down(&mut self) {
        self.server = None;
    }

    /// Starts the server that was ended.
    pub fn up(&mut self) {
        assert!(self.serve(0), "krb5kdc starts again");
    }

    /// Creates a principal with random keys, and `options` of `addprinc`:
    /// `+requires_preauth -e aes256-cts:normal`.
    pub fn add(&self, principal: &str, options: &str) {
        self.administer(&format!("addprinc -randkey {options} {principal}"));
    }

    /// Gives a principal other keys, of the next version; `options` of `cpw`.
    pub fn change_keys(&self, principal: &str, options: &str) {
        self.administer(&format!("cpw -randkey {options} {principal}"));
    }

    /// Deletes a principal.
    pub fn delete(&self, principal: &str) {
        self.administer(&format!("delprinc -force {principal}"));
    }

    /// A keytab with the present keys of a principal.
    pub fn keytab(&self, principal: &str) -> Vec<u8> {
        let file = self.home.path().join("new.keytab");
        let _ = std::fs::remove_file(&file);
        self.administer(&format!("ktadd -norandkey -k {} {principal}", file.display()));
        std::fs::read(file).expect("a keytab")
    }

    /// How many tickets it has issued in AS and in TGS exchanges.
    pub fn issued(&self) -> (usize, usize) {
        let log = std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
        let count = |request: &str| {
            log.lines().filter(|line| line.contains(request) && line.contains("ISSUE:")).count()
        };
        (count("AS_REQ"), count("TGS_REQ"))
    }

    fn serve(&mut self, ahead: u32) -> bool {
        let mut command = self.command("usr/sbin/krb5kdc");
        if ahead > 0 {
            let library = format!("usr/lib/{}/faketime/libfaketime.so.1", architecture());
            let library = Program::find(&library).path().to_owned();
            command.env("LD_PRELOAD", library).env("FAKETIME", format!("+{ahead}s"));
        }
        let output = File::create(self.home.path().join("output")).expect("a log");
        command
            .arg("-n")
            .stdout(Stdio::from(output.try_clone().expect("a second handle")))
            .stderr(Stdio::from(output));
        let mut server = Process::start(command);
        let answers = eventually("krb5kdc", START, || match server.status() {
            Some(_) => Some(false),
            None => TcpStream::connect(("127.0.0.1", self.port)).is_ok().then_some(true),
        });
        self.server = Some(server);
        answers
    }

    fn administer(&self, query: &str) {
        self.run("usr/sbin/kadmin.local", &["-q", query]);
    }

    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).output().expect("it can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        // kadmin.local tells of a failed query only in words: "add_principal: Principal …".
        let failed = said.lines().any(|line| {
            let command = line.split(':').next().unwrap_or_default();
            FAILING.contains(&command)
        });
        assert!(output.status.success() && !failed, "{program} {arguments:?}: {output:?}");
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Program::find(program).command(self.home.path());
        command
            .args(["-r", Self::NAME])
            .env("KRB5_CONFIG", self.krb5_conf())
            .env("KRB5_KDC_PROFILE", self.home.path().join("kdc.conf"));
        command
    }
}

/// A site with a realm, and a server whose method `kerberos` has the key of [`SERVICE`]. The server
/// is `OpenBao` 2.6.
pub struct KerberosSite {
    site: Site,
    /// Knows the principal "app", and the server's.
    pub realm: Realm,
    slapd: Slapd,
}

impl Deref for KerberosSite {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl KerberosSite {
    /// With a realm of its own, and the keytab and `krb5.conf` of it in files of the site.
    pub fn new() -> Self {
        Self::of(Realm::start())
    }

    /// With this realm.
    pub fn of(realm: Realm) -> Self {
        let slapd = Slapd::start(&[("app", "password")]);
        let site = Site::with_openbao_2_6(json!({}));
        realm.add("app", "");
        realm.add(SERVICE, "");
        let site = Self { site, realm, slapd };
        site.bao.write(
            "sys/auth/kerberos",
            json!({
                "type": "kerberos",
                "config": { "passthrough_request_headers": ["Authorization"] },
            }),
        );
        site.trust_service_keytab(&site.realm.keytab(SERVICE));
        site.bao.write(
            "auth/kerberos/config/ldap",
            json!({
                "url": site.slapd.address(),
                "userdn": Slapd::BASE,
                "groupdn": Slapd::BASE,
                "userattr": "uid",
                "token_policies": ["app"],
                "token_ttl": "1h",
            }),
        );
        site.write_keytab(&site.realm.keytab("app"));
        let krb5_conf = std::fs::read(site.realm.krb5_conf()).expect("a krb5.conf");
        std::fs::write(site.file("krb5.conf"), krb5_conf).expect("a file of the site");
        site
    }

    /// Gives the server's method this keytab.
    pub fn trust_service_keytab(&self, keytab: &[u8]) {
        self.bao.write(
            "auth/kerberos/config",
            json!({
                "keytab": STANDARD.encode(keytab),
                "service_account": SERVICE,
                // MIT's realm writes no Windows-like authorization data that it understands.
                "decode_pac": false,
            }),
        );
    }

    /// Replaces the workload's keytab, in one step.
    pub fn write_keytab(&self, keytab: &[u8]) {
        std::fs::write(self.file("new"), keytab).expect("a file of the site");
        std::fs::rename(self.file("new"), self.file("keytab")).expect("in one step");
    }

    /// The method on the files of the site, one file sink, quick retries.
    pub fn configuration(&self) -> Configuration {
        let mut configuration = self.site.configuration();
        configuration.method = "kerberos".into();
        configuration.method_config = format!(
            "username = \"app\"\nservice = \"{SERVICE}\"\nrealm = \"{}\"\n\
             keytab_path = \"{}\"\nkrb5conf_path = \"{}\"",
            Realm::NAME,
            self.file("keytab").display(),
            self.file("krb5.conf").display(),
        );
        configuration
    }

    /// One attempt, whose failure ends the agent; of a configuration in which this is different.
    pub fn log_in_once(&self, change: impl FnOnce(&mut Configuration)) -> Ended {
        let mut configuration = self.configuration();
        change(&mut configuration);
        configuration.log_in_once()
    }
}

impl Default for KerberosSite {
    fn default() -> Self {
        Self::new()
    }
}

/// What kadmin.local begins a complaint with.
const FAILING: [&str; 5] =
    ["add_principal", "change_password", "delete_principal", "kadmin.local", "ktadd"];

/// The server's principal.
pub const SERVICE: &str = "HTTP/vault.example.org";

/// Those that the realm makes keys of.
pub const ENCTYPES: [&str; 4] = [
    "aes256-cts-hmac-sha1-96",
    "aes128-cts-hmac-sha1-96",
    "aes256-cts-hmac-sha384-192",
    "aes128-cts-hmac-sha256-128",
];
