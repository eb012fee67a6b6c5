//! `cargo xtask demo`: a real server hands out a token; the agent delivers, renews and replaces it.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::openbao::{OpenBao, clean};
use crate::process::{self, Running, TemporaryDirectory};
use crate::{Result, preflight, setup};

/// Builds, then gives the tour. Whatever happens, nothing is left running and no file stays.
pub(crate) fn run() -> Result<()> {
    println!("1/3 Looking for tools, disk space and crates …");
    preflight::check(BUILD_GIGABYTES)?;
    println!("2/3 Installing an OpenBao server below Cargo's target directory …");
    let tools = setup::run()?;
    println!("3/3 Building Usher: some eight minutes on two cores, seconds the next time …");
    process::run(process::cargo().args(["build", "--release", "--package", "usher"]))?;
    let usher = process::target_directory().join("release/usher");
    process::catch_interrupts();
    let started = Instant::now();

    let home = TemporaryDirectory::create()?;
    let mut bao = OpenBao::start(&tools.bao(), home.path())?;
    heading("A real OpenBao server is running");
    println!("{} ({})", bao.address(), bao.run(&["version"])?);
    bao.approle(&["token_ttl=6s", "token_max_ttl=10m"])?;
    println!("with an AppRole role that hands out tokens which live 6 seconds");

    let config = home.path().join("usher.hcl");
    let text = configuration(bao.address(), home.path());
    std::fs::write(&config, &text).map_err(|error| error.to_string())?;
    heading("The agent's configuration");
    print!("{text}");

    heading("Method and sink are WebAssembly components");
    let list =
        process::output(clean(&mut Command::new(&usher), home.path()).args(["plugin", "list"]))?;
    println!("$ usher plugin list\n{list}");

    heading("The agent logs in and delivers");
    println!("$ usher agent --config usher.hcl");
    let mut agent = Running::start(
        clean(&mut Command::new(&usher), home.path())
            .args(["agent", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped()),
    )?;
    show_log(&mut agent);
    let token_file = home.path().join("token");
    let token = wait_for_token(&token_file, "")?;
    let mode =
        std::fs::metadata(&token_file).map_err(|error| error.to_string())?.permissions().mode();
    println!("The token file is there: {} bytes, mode {:04o}", token.len(), mode & 0o7777);
    process::wait_until("the secret-id file to be removed", Duration::from_secs(5), || {
        (!home.path().join("secret-id").exists()).then_some(())
    })?;
    println!("The one-shot secret-id file is gone, now that the login is proven");

    heading("The token is renewed before its 6 seconds are over");
    let expiry =
        |token: &str| bao.run_as(token, &["read", "-field=expire_time", "auth/token/lookup-self"]);
    let first_expiry = expiry(&token)?;
    println!("It would have expired at {first_expiry}");
    let renewed = process::wait_until("the renewal", Duration::from_secs(10), || {
        expiry(&token).ok().filter(|later| *later != first_expiry)
    })?;
    println!("It now expires at        {renewed}");

    heading("An operator revokes the token; the agent replaces it without a restart");
    let accessor = bao.run_as(&token, &["read", "-field=accessor", "auth/token/lookup-self"])?;
    println!("$ bao token revoke -accessor {accessor}");
    bao.run(&["token", "revoke", "-accessor", &accessor])?;
    let revoked = Instant::now();
    let replacement = wait_for_token(&token_file, &token)?;
    println!("A new token is in the file {} ms later", revoked.elapsed().as_millis());
    let path = bao.run_as(&replacement, &["read", "-field=path", "auth/token/lookup-self"])?;
    println!("The server accepts it; it comes from {path}");

    heading("Clean shutdown");
    let status = agent.stop()?;
    bao.stop()?;
    println!("The agent ended with {status}; the server is stopped and all files are removed");
    println!("\nThe tour took {} s.", started.elapsed().as_secs());
    if status.success() { Ok(()) } else { Err(format!("the agent ended with {status}")) }
}

fn configuration(address: &str, home: &Path) -> String {
    let home = home.display();
    format!(
        r#"vault {{
  address = "{address}"
}}

auto_auth {{
  token_check_interval = "1s"

  method "approle" {{
    config = {{
      role_id_file_path   = "{home}/role-id"
      secret_id_file_path = "{home}/secret-id"
    }}
  }}

  sink "file" {{
    config = {{
      path = "{home}/token"
    }}
  }}
}}
"#
    )
}

/// Waits for a whole token in the file that isn't the previous one.
fn wait_for_token(file: &Path, previous: &str) -> Result<String> {
    process::wait_until("a new token in the file", Duration::from_secs(20), || {
        std::fs::read_to_string(file).ok().filter(|token| !token.is_empty() && token != previous)
    })
}

/// Copies the agent's log to the screen as it comes.
fn show_log(agent: &mut Running) {
    if let Some(log) = agent.child().stderr.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(std::io::Result::ok) {
                println!("  usher | {line}");
            }
        });
    }
}

fn heading(text: &str) {
    println!("\n== {text}");
}

/// What the build leaves in an empty target directory, and something to spare.
const BUILD_GIGABYTES: u64 = 4;
