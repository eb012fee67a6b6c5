//! A key that systemd hands over: in a process of its own, since the environment is one for all.

use std::env;
use std::process::Command;

use super::*;

#[test]
fn what_is_sealed_with_a_credential_is_there_again_only_with_it() {
    let home = tempfile::tempdir().unwrap();
    let credentials = home.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    let run = || {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "tests::credential::what_that_process_does", "--ignored"])
            .arg("--nocapture")
            .env("CREDENTIALS_DIRECTORY", &credentials)
            .env("USHER_STATE_TEST", home.path().join("state"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let said = run();
    assert!(
        said.contains("LoadCredentialEncrypted=sealing:/etc/credstore.encrypted/sealing"),
        "{said}"
    );
    // As systemd makes it: no one can write to it, and it need not be the agent's own.
    let key = credentials.join("sealing");
    let write = |content: &[u8], mode| {
        let _ = fs::remove_file(&key);
        fs::write(&key, content).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    };
    write(&[7; 31], 0o400);
    assert!(run().contains("31 bytes"));
    write(&[7; 32], 0o440);
    assert!(run().contains("found Nothing"));
    assert!(run().contains("found State"));
    write(&[8; 32], 0o440);
    assert!(run().contains("found Damaged"));
}

#[test]
#[ignore = "what_is_sealed_with_a_credential_is_there_again_only_with_it starts it"]
fn what_that_process_does() {
    let Some(directory) = env::var_os("USHER_STATE_TEST") else { return };
    let key = Key::Credential("sealing".to_owned());
    match Store::open(&Place::File { directory: directory.into(), key }) {
        Ok((store, found)) => {
            println!("found {found:?}");
            store.put("one", Secret::new(b"record".to_vec())).unwrap();
        }
        Err(error) => println!("{error}"),
    }
}
