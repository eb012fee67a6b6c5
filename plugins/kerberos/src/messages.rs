//! The messages of Kerberos (RFC 4120 §5) that a client writes and reads.

use crate::encryption::{Enctype, Key};
use usher_plugin_lib::der::{
    self, Malformed, Reader, application, application_tag, explicit, flags, integer, octets,
    sequence, string, time,
};

/// Kinds of names (RFC 4120 §6.2).
pub(crate) const NT_PRINCIPAL: i64 = 1;
pub(crate) const NT_SRV_INST: i64 = 2;

/// Types of pre-authentication data (RFC 4120 §7.5.2, RFC 6806 §11).
pub(crate) const PA_TGS_REQ: i64 = 1;
pub(crate) const PA_ENC_TIMESTAMP: i64 = 2;
const PA_ETYPE_INFO: i64 = 11;
const PA_ETYPE_INFO2: i64 = 19;
pub(crate) const PA_REQ_ENC_PA_REP: i64 = 149;

/// Of a reply's part: it has a checksum of the request (RFC 6806 §11).
const FLAG_ENC_PA_REP: u32 = 1 << (31 - 15);

const VERSION: i64 = 5;
const OPTION_RENEWABLE_OK: u32 = 0x10;

/// The two exchanges with a key distribution centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// For the ticket that gets others, by the key of the client.
    As,
    /// For the ticket of a service, by that first one.
    Tgs,
}

impl Exchange {
    fn request(self) -> u8 {
        match self {
            Self::As => 10,
            Self::Tgs => 12,
        }
    }

    fn reply(self) -> u8 {
        self.request() + 1
    }
}

/// Seconds since 1970, and microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) seconds: i64,
    pub(crate) microseconds: u32,
}

/// `PrincipalName`, of components with slashes between them.
pub(crate) fn principal(kind: i64, name: &str) -> Vec<u8> {
    let components: Vec<_> = name.split('/').map(string).collect();
    sequence(&[explicit(0, integer(kind)), explicit(1, sequence(&components))])
}

/// `EncryptedData`.
pub(crate) fn encrypted(enctype: Enctype, cipher: &[u8]) -> Vec<u8> {
    sequence(&[explicit(0, integer(enctype.number())), explicit(2, octets(cipher))])
}

/// `Checksum`.
fn checksum(kind: i64, bytes: &[u8]) -> Vec<u8> {
    sequence(&[explicit(0, integer(kind)), explicit(1, octets(bytes))])
}

/// `PA-ENC-TS-ENC`.
pub(crate) fn timestamp(now: Moment) -> Vec<u8> {
    sequence(&[explicit(0, time(now.seconds)), explicit(1, integer(now.microseconds))])
}

/// `KDC-REQ-BODY`.
pub(crate) struct Body<'a> {
    /// In an AS exchange.
    pub(crate) client: Option<Vec<u8>>,
    pub(crate) realm: &'a str,
    pub(crate) service: Vec<u8>,
    /// End of the ticket.
    pub(crate) till: i64,
    pub(crate) nonce: u32,
    /// The best one first.
    pub(crate) enctypes: Vec<i64>,
}

impl Body<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let enctypes: Vec<_> = self.enctypes.iter().map(|number| integer(*number)).collect();
        let client = self.client.iter().map(|client| explicit(1, client.clone()));
        let parts = std::iter::once(explicit(0, flags(OPTION_RENEWABLE_OK))).chain(client).chain([
            explicit(2, string(self.realm)),
            explicit(3, self.service.clone()),
            explicit(5, time(self.till)),
            explicit(7, integer(self.nonce)),
            explicit(8, sequence(&enctypes)),
        ]);
        sequence(&parts.collect::<Vec<_>>())
    }
}

/// `KDC-REQ` with this pre-authentication data.
pub(crate) fn request(exchange: Exchange, padata: &[(i64, Vec<u8>)], body: Vec<u8>) -> Vec<u8> {
    let padata: Vec<_> = padata
        .iter()
        .map(|(kind, value)| sequence(&[explicit(1, integer(*kind)), explicit(2, octets(value))]))
        .collect();
    let mut parts = vec![explicit(1, integer(VERSION)), explicit(2, integer(exchange.request()))];
    if !padata.is_empty() {
        parts.push(explicit(3, sequence(&padata)));
    }
    parts.push(explicit(4, body));
    application(exchange.request(), &sequence(&parts))
}

/// `Authenticator`.
pub(crate) struct Authenticator<'a> {
    pub(crate) realm: &'a str,
    /// A `PrincipalName`.
    pub(crate) client: &'a [u8],
    /// Type and bytes.
    pub(crate) checksum: (i64, Vec<u8>),
    pub(crate) now: Moment,
    pub(crate) sequence_number: u32,
}

impl Authenticator<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (kind, bytes) = &self.checksum;
        let parts = [
            explicit(0, integer(VERSION)),
            explicit(1, string(self.realm)),
            explicit(2, self.client.to_vec()),
            explicit(3, checksum(*kind, bytes)),
            explicit(4, integer(self.now.microseconds)),
            explicit(5, time(self.now.seconds)),
            explicit(7, integer(self.sequence_number)),
        ];
        application(2, &sequence(&parts))
    }
}

/// `AP-REQ` without options.
pub(crate) fn ap_request(ticket: &[u8], authenticator: Vec<u8>) -> Vec<u8> {
    let parts = [
        explicit(0, integer(VERSION)),
        explicit(1, integer(14)),
        explicit(2, flags(0)),
        explicit(3, ticket.to_vec()),
        explicit(4, authenticator),
    ];
    application(14, &sequence(&parts))
}

/// What a key distribution centre has answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Reply),
    Refusal(Refusal),
}

/// `KDC-REP`, its part still encrypted.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) realm: String,
    /// A `PrincipalName`.
    pub(crate) client: Vec<u8>,
    pub(crate) ticket: Vec<u8>,
    pub(crate) enctype: i64,
    /// Of the key that it is encrypted with.
    pub(crate) version: Option<i64>,
    pub(crate) cipher: Vec<u8>,
}

/// `KRB-ERROR`.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: i64,
    pub(crate) server_time: i64,
    pub(crate) text: Option<String>,
    /// Of the client's keys, where the answer names them.
    pub(crate) enctypes: Vec<i64>,
}

/// `EncKDCRepPart`.
#[derive(Debug)]
pub(crate) struct Part {
    /// None: of an encryption type that is not supported.
    pub(crate) key: Option<Key>,
    pub(crate) enctype: i64,
    pub(crate) nonce: i64,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Components with slashes between them.
    pub(crate) service: String,
    /// The server says that it confirms the request.
    pub(crate) confirms_request: bool,
    /// Type and bytes of the request's checksum.
    pub(crate) request_checksum: Option<(i64, Vec<u8>)>,
}

impl Answer {
    pub(crate) fn parse(exchange: Exchange, bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.tag() == Some(application_tag(30)) {
            let inside = reader.inside(application_tag(30))?.only_sequence()?;
            return Refusal::parse(inside).map(Self::Refusal);
        }
        let inside = reader.inside(application_tag(exchange.reply()))?.only_sequence()?;
        Reply::parse(inside).map(Self::Reply)
    }
}

impl Reply {
    fn parse(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        reader.explicit(0)?;
        reader.explicit(1)?;
        reader.optional(2)?;
        let realm = reader.explicit(3)?.string()?;
        let client = reader.explicit(4)?.whole()?.to_vec();
        let ticket = reader.explicit(5)?.whole()?.to_vec();
        let mut part = reader.explicit(6)?.only_sequence()?;
        let enctype = part.explicit(0)?.integer()?;
        let version = part.optional(1)?.map(|mut version| version.integer()).transpose()?;
        let cipher = part.explicit(2)?.octets()?.to_vec();
        Ok(Self { realm, client, ticket, enctype, version, cipher })
    }
}

impl Refusal {
    fn parse(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        reader.explicit(0)?;
        reader.explicit(1)?;
        reader.optional(2)?;
        reader.optional(3)?;
        let server_time = reader.explicit(4)?.time()?;
        reader.explicit(5)?;
        let code = reader.explicit(6)?.integer()?;
        for skipped in 7..=10 {
            reader.optional(skipped)?;
        }
        let text = reader.optional(11)?.map(|mut text| text.string()).transpose()?;
        // What it holds depends on the code; what isn't pre-authentication data is none.
        let data = reader.optional(12)?.map(|mut data| data.octets()).transpose()?;
        let enctypes = data.and_then(|data| enctypes(data).ok()).unwrap_or_default();
        Ok(Self { code, server_time, text, enctypes })
    }
}

impl Part {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        // Some servers give an AS reply the tag of the other one.
        let tag = reader.tag().filter(|tag| [25, 26].map(application_tag).contains(tag));
        let mut reader = reader.inside(tag.ok_or(Malformed)?)?.only_sequence()?;
        let mut key = reader.explicit(0)?.only_sequence()?;
        let enctype = key.explicit(0)?.integer()?;
        let bytes = key.explicit(1)?.octets()?;
        reader.explicit(1)?;
        let nonce = reader.explicit(2)?.integer()?;
        reader.optional(3)?;
        let flags = reader.explicit(4)?.flags()?;
        let authenticated = reader.explicit(5)?.time()?;
        let start = reader.optional(6)?.map(|mut start| start.time()).transpose()?;
        let end = reader.explicit(7)?.time()?;
        reader.optional(8)?;
        reader.explicit(9)?;
        let service = name(reader.explicit(10)?)?;
        reader.optional(11)?;
        let mut request_checksum = None;
        if let Some(mut list) = reader.optional(12)? {
            for (kind, value) in padata(list.only_sequence()?)? {
                if kind == PA_REQ_ENC_PA_REP {
                    let mut checksum = Reader::new(value).only_sequence()?;
                    let kind = checksum.explicit(0)?.integer()?;
                    request_checksum = Some((kind, checksum.explicit(1)?.octets()?.to_vec()));
                }
            }
        }
        Ok(Self {
            key: Enctype::of(enctype).and_then(|enctype| Key::new(enctype, bytes)),
            enctype,
            nonce,
            start: start.unwrap_or(authenticated),
            end,
            service,
            confirms_request: flags & FLAG_ENC_PA_REP != 0,
            request_checksum,
        })
    }
}

/// The components of a `PrincipalName`, with slashes between them.
fn name(mut reader: Reader<'_>) -> Result<String, Malformed> {
    let mut reader = reader.only_sequence()?;
    reader.explicit(0)?;
    let mut components = reader.explicit(1)?.only_sequence()?;
    let mut names = Vec::new();
    while !components.is_empty() {
        names.push(components.string()?);
    }
    Ok(names.join("/"))
}

/// Types and values of a sequence of `PA-DATA`.
fn padata(mut list: Reader<'_>) -> Result<Vec<(i64, &[u8])>, Malformed> {
    let mut found = Vec::new();
    while !list.is_empty() {
        let mut item = list.inside(der::SEQUENCE)?;
        let kind = item.explicit(1)?.integer()?;
        found.push((kind, item.explicit(2)?.octets()?));
    }
    Ok(found)
}

/// The encryption types in `METHOD-DATA`, once each.
fn enctypes(data: &[u8]) -> Result<Vec<i64>, Malformed> {
    let mut found = Vec::new();
    for (kind, value) in padata(Reader::new(data).only_sequence()?)? {
        if kind != PA_ETYPE_INFO2 && kind != PA_ETYPE_INFO {
            continue;
        }
        let mut list = Reader::new(value).only_sequence()?;
        while !list.is_empty() {
            let number = list.inside(der::SEQUENCE)?.explicit(0)?.integer()?;
            if !found.contains(&number) {
                found.push(number);
            }
        }
    }
    Ok(found)
}
