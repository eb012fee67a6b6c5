//! Certificates of authorities, out of texts, files and directories. The broken ones are named,
//! and the others count.

use std::io;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use sha2::{Digest as _, Sha256};

use crate::words;

/// What is trusted: authorities, and each of their certificates by itself.
#[derive(Clone)]
pub struct Authorities {
    pub(crate) roots: RootCertStore,
    /// Of each certificate, by which a server that shows the very same is known.
    pub(crate) digests: Vec<[u8; 32]>,
    broken: Vec<String>,
}

impl Authorities {
    /// What the platform trusts. Takes 50 ms; a clone of it takes next to nothing.
    pub fn of_platform() -> Self {
        let mut authorities = Self::default();
        for certificate in rustls_native_certs::load_native_certs().certs {
            // A platform's store holds old ones that nothing can read any more.
            let _ = authorities.add(certificate);
        }
        authorities
    }

    /// Nothing is trusted.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// What they are to a verifier of the TLS library.
    pub fn roots(&self) -> &RootCertStore {
        &self.roots
    }

    /// What could not be taken: each certificate with its place, and why.
    pub fn broken(&self) -> &[String] {
        &self.broken
    }

    /// Adds the certificates of a text; `origin` names it in [`Authorities::broken`].
    pub fn add_pem(&mut self, origin: &str, pem: &[u8]) {
        for section in sections(pem) {
            let added = section.certificate().and_then(|certificate| self.add(certificate));
            if let Err(why) = added {
                self.broken.push(format!("{origin}: {}", section.named(&why)));
            }
        }
    }

    /// Adds the certificates of a file, or of all files in a directory and below it. What holds
    /// none is passed over: such directories also hold lists of revoked certificates and notes.
    pub fn add_path(&mut self, path: &Path) -> io::Result<()> {
        if !std::fs::metadata(path)?.is_dir() {
            self.add_pem(&quoted(path), &std::fs::read(path)?);
            return Ok(());
        }
        self.add_directory(path, DEEPEST)
    }

    fn add_directory(&mut self, directory: &Path, depth: usize) -> io::Result<()> {
        let mut entries = std::fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            // Not through links, which may lead back; nor where a projected volume keeps what its
            // links lead to, of which some may be on their way out.
            let hidden = entry.file_name().to_string_lossy().starts_with("..");
            let read = if entry.file_type()?.is_dir() {
                if hidden || depth == 0 {
                    continue;
                }
                self.add_directory(&path, depth - 1)
            } else if path.is_file() {
                std::fs::read(&path).map(|pem| self.add_pem(&quoted(&path), &pem))
            } else {
                continue;
            };
            if let Err(error) = read {
                self.broken.push(format!("{} can't be read: {error}", quoted(&path)));
            }
        }
        Ok(())
    }

    fn add(&mut self, certificate: CertificateDer<'static>) -> Result<(), String> {
        let digest = digest(&certificate);
        self.roots.add(certificate).map_err(|error| words::certificate(&error))?;
        self.digests.push(digest);
        Ok(())
    }
}

impl Default for Authorities {
    fn default() -> Self {
        Self { roots: RootCertStore::empty(), digests: Vec::new(), broken: Vec::new() }
    }
}

pub(crate) fn digest(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate).into()
}

/// One certificate of a PEM text.
pub(crate) struct Section<'a> {
    /// Counted from 1, like the lines.
    number: usize,
    line: usize,
    pem: &'a [u8],
}

impl Section<'_> {
    pub(crate) fn certificate(&self) -> Result<CertificateDer<'static>, String> {
        CertificateDer::from_pem_slice(self.pem).map_err(|error| {
            let why = match error {
                pem::Error::MissingSectionEnd { .. } => "has no end: the text was cut off",
                pem::Error::Base64Decode(_) => "isn't base64 between its first and last line",
                _ => "can't be read",
            };
            why.to_owned()
        })
    }

    /// What is the matter with it: "certificate 2 (line 31) …".
    pub(crate) fn named(&self, why: &str) -> String {
        format!("certificate {} (line {}) {why}", self.number, self.line)
    }
}

/// The certificates of a PEM text, whole or not.
pub(crate) fn sections(pem: &[u8]) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut begin = None;
    let mut at = 0;
    let mut finish = |begin: &mut Option<(usize, usize)>, end: usize| {
        if let Some((line, start)) = begin.take() {
            let number = sections.len() + 1;
            sections.push(Section { number, line, pem: &pem[start..end] });
        }
    };
    for (index, line) in pem.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let mark = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        if mark.starts_with(b"-----BEGIN ") {
            finish(&mut begin, at);
            if mark.starts_with(b"-----BEGIN CERTIFICATE-----") {
                begin = Some((index + 1, at + line.len() - mark.len()));
            }
        }
        at += line.len();
        if mark.starts_with(b"-----END ") {
            finish(&mut begin, at);
        }
    }
    finish(&mut begin, at);
    sections
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Directories below directories.
const DEEPEST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> String {
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem()
    }

    fn read(pem: &str) -> (usize, Vec<String>) {
        let mut authorities = Authorities::default();
        authorities.add_pem("F", pem.as_bytes());
        assert_eq!(authorities.roots.len(), authorities.digests.len());
        (authorities.roots.len(), authorities.broken)
    }

    #[test]
    fn a_broken_certificate_is_named_by_number_and_line_and_the_others_count() {
        let (one, two) = (good(), good());
        let lines = one.lines().count();
        let cut = one.lines().take(3).collect::<Vec<_>>().join("\n");
        let block = |content: &str| {
            format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n")
        };
        for (broken, why) in [
            (block("!!!!"), "isn't base64"),
            (block("AAAA"), "isn't well formed"),
            (block(""), "isn't well formed"),
            (format!("{cut}\n"), "has no end"),
        ] {
            let (count, named) = read(&format!("# a note\n{one}\n{broken}{two}"));
            assert_eq!((count, named.len()), (2, 1), "{named:?}");
            let place = format!("F: certificate 2 (line {}) ", lines + 3);
            assert!(named[0].starts_with(&place) && named[0].contains(why), "{place}: {named:?}");
        }
        let (count, named) = read(&format!("{one}{cut}"));
        assert_eq!((count, named.len()), (1, 1), "{named:?}");
    }

    #[test]
    fn what_is_no_certificate_is_passed_over() {
        let one = good();
        let crl = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
        let windows = one.replace('\n', "\r\n");
        for text in [
            format!("notes\n{crl}{one}\nmore"),
            format!("\u{feff}{one}"),
            windows,
            one.trim_end().to_owned(),
        ] {
            assert_eq!(read(&text), (1, Vec::new()), "{text}");
        }
        assert_eq!(read("a note"), (0, Vec::new()));
        assert_eq!(read(""), (0, Vec::new()));
    }

    #[test]
    fn a_path_is_a_file_or_a_directory_with_all_below_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let write = |name: &str, text: &str| {
            let file = path.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        let read = |path: &Path| {
            let mut authorities = Authorities::default();
            authorities.add_path(path).unwrap();
            (authorities.roots.len(), authorities.broken)
        };
        write("a.pem", &good());
        write("below/further/b.pem", &good());
        write("README", "no certificate here");
        assert_eq!(read(path), (2, Vec::new()));
        assert_eq!(read(&path.join("a.pem")), (1, Vec::new()));

        // A projected volume: links to files, and a link to the directory that holds them.
        write("..2026/c.pem", &good());
        std::os::unix::fs::symlink("..2026", path.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/c.pem", path.join("c.pem")).unwrap();
        std::os::unix::fs::symlink(path, path.join("below/back")).unwrap();
        std::os::unix::fs::symlink("nowhere", path.join("dangling")).unwrap();
        assert_eq!(read(path), (3, Vec::new()));

        write("below/broken.pem", "-----BEGIN CERTIFICATE-----\n");
        let (count, broken) = read(path);
        let file = path.join("below/broken.pem");
        assert_eq!((count, broken.len()), (3, 1));
        assert!(broken[0].starts_with(&format!("{file:?}: certificate 1 (line 1) ")), "{broken:?}");
        assert!(Authorities::default().add_path(&path.join("missing")).is_err());
    }
}
