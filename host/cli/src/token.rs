//! `usher token`: the reader's side of a sink.

mod files;
mod keygen;
mod read;
mod unwrapping;

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use usher_agent::{Exit, forbid_core_dumps};

use crate::flags::ServerFlags;
use crate::stop::{Stop, failure};

#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Make the key pair of an encrypted sink's reader.
    Keygen(KeygenArguments),
    /// Print the token that a sink delivered: bare, encrypted, wrapped, or both.
    Read(Box<ReadArguments>),
}

#[derive(Args)]
#[command(
    after_help = format!("The private key stays with the reader of the token and is readable by its owner alone.
The public key goes where the sink's dh_path points (with dh_type = \"curve25519\"); give
whoever makes the configuration its path. A file that exists is never overwritten: an
agent keeps the public key that it read first for as long as the identity runs unchanged; a
reload that changes the identity reads the key anew.

Exit status: {} both files are written, {} they are not, {} wrong usage",
        Exit::Done, Exit::Failed, Exit::Configuration)
)]
pub(crate) struct KeygenArguments {
    /// File to make for the private key, mode 0600.
    #[arg(long, value_name = "FILE")]
    private_key: PathBuf,
    /// File to make for the public key, mode 0644.
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
}

#[derive(Args)]
#[command(after_help = format!("Prints the token and a line break, nothing else:
  VAULT_TOKEN=\"$(usher token read /run/app/token)\" && export VAULT_TOKEN
Not export VAULT_TOKEN=\"$(...)\", nor VAULT_TOKEN=\"$(...)\" COMMAND: a shell ignores there that
nothing was printed, and goes on with an empty token.

An encrypted file opens with the private key and the sink's aad, whether or not it was made
with derive_key. With --private-key a file that isn't encrypted is refused, and with --unwrap
one that isn't wrapped: somebody may have put another file there.

--unwrap first asks the server which path made the wrapping token, and leaves it wrapped if
that isn't the --creation-path. Without that flag the path must be sys/wrapping/wrap (a sink
wrapped the token) or the login of an auth method, and the one that the file itself names.
Anybody with any token of the server can wrap something at sys/wrapping/wrap, so where the
method wraps (wrap_ttl in the method block) give --creation-path auth/MOUNT/login.
The server is that of the flags below, else of BAO_ADDR and so on, else of VAULT_ADDR and so on.

--remove removes the file that was read, but not one that has replaced it meanwhile; of a
symbolic link, what it leads to.

Exit status: {} the token is printed (and the file removed), {} it is not, {} wrong usage",
    Exit::Done, Exit::Failed, Exit::Configuration))]
pub(crate) struct ReadArguments {
    /// What the sink delivered.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The reader's private key, of `usher token keygen`; the file must be encrypted.
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// File with the sink's additional data (aad); a line break at its end doesn't count.
    #[arg(long, value_name = "FILE", requires = "private_key", conflicts_with = "aad_env")]
    aad_file: Option<PathBuf>,
    /// Environment variable with the sink's additional data (`aad_env_var`).
    #[arg(long, value_name = "VARIABLE", requires = "private_key")]
    aad_env: Option<String>,
    /// Unwrap the token at the server; the file must hold a wrapping token.
    #[arg(long)]
    unwrap: bool,
    /// Path that must have made the wrapping token, such as auth/approle/login.
    #[arg(long, value_name = "PATH", requires = "unwrap")]
    creation_path: Option<String>,
    /// Remove the file once the token is printed.
    #[arg(long)]
    remove: bool,
    #[command(flatten, next_help_heading = "Server, for --unwrap")]
    server: ServerFlags,
}

pub(crate) fn run(command: TokenCommand) -> Exit {
    forbid_core_dumps();
    let result = match command {
        TokenCommand::Keygen(arguments) => {
            keygen::make_keys(&arguments.private_key, &arguments.public_key)
        }
        TokenCommand::Read(arguments) => print_token(*arguments),
    };
    match result {
        Ok(()) => Exit::Done,
        Err(stop) => stop.tell(),
    }
}

/// The file goes only once somebody has the token.
fn print_token(arguments: ReadArguments) -> Result<(), Stop> {
    let remove = arguments.remove;
    let (token, file) = read::token(arguments)?;
    let mut output = std::io::stdout().lock();
    output
        .write_all(token.expose().as_bytes())
        .and_then(|()| output.write_all(b"\n"))
        .and_then(|()| output.flush())
        .map_err(|error| {
            failure(format!("the token can't be written to standard output: {error}"))
        })?;
    if remove { file.remove().map_err(failure) } else { Ok(()) }
}
