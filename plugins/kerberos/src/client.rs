//! The exchanges that lead from a keytab to a login: a ticket that gets tickets, a ticket for the
//! service, and the token that presents it.

use crate::encryption::{self, Enctype, Key, Usage};
use crate::keytab::Keys;
use crate::messages::{
    Answer, Authenticator, Body, Exchange, Moment, NT_PRINCIPAL, NT_SRV_INST, PA_ENC_TIMESTAMP,
    PA_REQ_ENC_PA_REP, PA_TGS_REQ, Part, Reply, ap_request, encrypted, principal, request,
    timestamp,
};
use crate::refusal::{ETYPE_NOSUPP, Known, PREAUTH_FAILED, PREAUTH_REQUIRED};
use crate::spnego;
use crate::ticket::Ticket;
use std::time::SystemTime;
use usher_plugin::{Failure, clock, kdc, random};
use usher_plugin_lib::der::Malformed;

/// How long a ticket should last, in seconds; the realm may give less.
const LIFETIME: i64 = 24 * 60 * 60;

/// Who asks for what, and where.
pub(crate) struct Client<'a> {
    /// Without realm.
    pub(crate) user: &'a str,
    pub(crate) realm: &'a str,
    /// Without realm: "HTTP/vault.example.org".
    pub(crate) service: &'a str,
    /// File with the realm's servers.
    pub(crate) krb5_conf: &'a str,
    /// File that the keys came from.
    pub(crate) keytab: &'a str,
    pub(crate) keys: Keys,
    /// Ask the server to vouch for what the request was.
    pub(crate) protect_request: bool,
}

impl Client<'_> {
    /// A new ticket for the service.
    pub(crate) fn service_ticket(&self) -> Result<Ticket, Failure> {
        let granting = self.granting_ticket()?;
        let body = self.body(None, principal(NT_PRINCIPAL, self.service), &Enctype::ALL);
        let encoded = body.encode();
        let checksum = granting.key.checksum(Usage::TGS_REQUEST_CHECKSUM, &encoded);
        let checksum = (granting.key.enctype().checksum_type(), checksum);
        let ap_request = present(&granting, Usage::TGS_REQUEST_AUTHENTICATOR, checksum);
        let request = request(Exchange::Tgs, &[(PA_TGS_REQ, ap_request)], encoded);
        let reply = match self.exchange(Exchange::Tgs, &request)? {
            Answer::Reply(reply) => reply,
            Answer::Refusal(refusal) => {
                return Err(self.refused(Exchange::Tgs, &refusal, now().seconds));
            }
        };
        let plain = granting.key.decrypt(Usage::TGS_REPLY, &reply.cipher).ok_or_else(malformed)?;
        let part = Part::parse(&plain).map_err(|Malformed| malformed())?;
        if part.service != self.service {
            return Err(Failure::denied(
                "kerberos.referral",
                format!(
                    "the realm {} answers with a ticket for {} instead of {}: the service belongs \
                     to another realm, and `realm` must be that of both",
                    self.realm, part.service, self.service
                ),
            ));
        }
        self.ticket(reply, part, body.nonce)
    }

    fn granting_ticket(&self) -> Result<Ticket, Failure> {
        let ours: Vec<Enctype> = self.keys.keys.iter().map(Key::enctype).collect();
        let mut untried: Vec<&Key> = self.keys.keys.iter().collect();
        let mut key = untried.remove(0);
        loop {
            let body = self.initial_body(&ours);
            let now = now();
            let cipher = key.encrypt(Usage::TIMESTAMP, confounder(), &timestamp(now));
            let mut padata = vec![(PA_ENC_TIMESTAMP, encrypted(key.enctype(), &cipher))];
            if self.protect_request {
                padata.push((PA_REQ_ENC_PA_REP, Vec::new()));
            }
            let request = request(Exchange::As, &padata, body.encode());
            let refusal = match self.exchange(Exchange::As, &request)? {
                Answer::Reply(reply) => return self.open(reply, &request, body.nonce),
                Answer::Refusal(refusal) => refusal,
            };
            if ![ETYPE_NOSUPP, PREAUTH_FAILED, PREAUTH_REQUIRED].contains(&refusal.code) {
                return Err(self.refused(Exchange::As, &refusal, now.seconds));
            }
            let known = if refusal.enctypes.is_empty() {
                self.what_the_realm_has()?
            } else {
                Known { enctypes: refusal.enctypes, version: None }
            };
            let takes = |key: &Key| known.enctypes.contains(&key.enctype().number());
            if takes(key) {
                return Err(self.wrong_key(key, &known));
            }
            match untried.iter().position(|key| takes(key)) {
                Some(index) => key = untried.remove(index),
                None => return Err(self.no_common_enctype(&known)),
            }
        }
    }

    /// A request that proves nothing brings the types of the client's keys, or where no
    /// pre-authentication is asked for a ticket of one of them.
    fn what_the_realm_has(&self) -> Result<Known, Failure> {
        const OLDER: [i64; 4] = [26, 25, 23, 16];
        let mut body = self.initial_body(&Enctype::ALL);
        body.enctypes.extend(OLDER);
        let request = request(Exchange::As, &[], body.encode());
        Ok(match self.exchange(Exchange::As, &request)? {
            Answer::Reply(reply) => Known { enctypes: vec![reply.enctype], version: reply.version },
            Answer::Refusal(refusal) => Known { enctypes: refusal.enctypes, version: None },
        })
    }

    /// Reads the reply to `request`, an AS-REQ.
    fn open(&self, reply: Reply, request: &[u8], nonce: u32) -> Result<Ticket, Failure> {
        let known = Known { enctypes: vec![reply.enctype], version: reply.version };
        let Some(key) = Enctype::of(reply.enctype).and_then(|enctype| self.keys.of(enctype)) else {
            return Err(self.no_common_enctype(&known));
        };
        let Some(plain) = key.decrypt(Usage::AS_REPLY, &reply.cipher) else {
            return Err(self.wrong_key(key, &known));
        };
        let part = Part::parse(&plain).map_err(|Malformed| malformed())?;
        let is_unchanged = || {
            part.request_checksum.as_ref().is_some_and(|(kind, checksum)| {
                *kind == key.enctype().checksum_type()
                    && key.verify(Usage::AS_REQUEST_CHECKSUM, request, checksum)
            })
        };
        if self.protect_request && part.confirms_request && !is_unchanged() {
            return Err(Failure::denied(
                "kerberos.request-changed",
                format!(
                    "the request to the realm {} was changed on its way; find out who is between, \
                     or set disable_fast_negotiation = true if the server is at fault",
                    self.realm
                ),
            ));
        }
        self.ticket(reply, part, nonce)
    }

    fn ticket(&self, reply: Reply, part: Part, nonce: u32) -> Result<Ticket, Failure> {
        if part.nonce != i64::from(nonce) {
            return Err(Failure::denied(
                "kerberos.replay",
                format!(
                    "the realm {} answered another request; find out who is between",
                    self.realm
                ),
            ));
        }
        let Some(key) = part.key else {
            return Err(Failure::denied(
                "kerberos.enctype",
                format!(
                    "the realm {} gave a session key of a type that was not asked for: {}",
                    self.realm,
                    encryption::name(part.enctype)
                ),
            ));
        };
        Ok(Ticket {
            realm: reply.realm,
            client: reply.client,
            ticket: reply.ticket,
            key,
            start: part.start,
            end: part.end,
        })
    }

    fn initial_body(&self, enctypes: &[Enctype]) -> Body<'_> {
        let service = principal(NT_SRV_INST, &format!("krbtgt/{}", self.realm));
        self.body(Some(principal(NT_PRINCIPAL, self.user)), service, enctypes)
    }

    fn body(&self, client: Option<Vec<u8>>, service: Vec<u8>, enctypes: &[Enctype]) -> Body<'_> {
        Body {
            client,
            realm: self.realm,
            service,
            till: now().seconds + LIFETIME,
            nonce: number(),
            enctypes: enctypes.iter().map(|enctype| enctype.number()).collect(),
        }
    }

    fn exchange(&self, exchange: Exchange, request: &[u8]) -> Result<Answer, Failure> {
        let answer = kdc::exchange(self.krb5_conf, self.realm, request)?;
        Answer::parse(exchange, &answer).map_err(|Malformed| malformed())
    }
}

/// The token that presents a service ticket; each is used once.
pub(crate) fn token(ticket: &Ticket) -> Vec<u8> {
    let checksum = (spnego::CHECKSUM_TYPE, spnego::checksum());
    spnego::token(&present(ticket, Usage::AUTHENTICATOR, checksum))
}

/// An AP-REQ with a fresh authenticator.
fn present(ticket: &Ticket, usage: Usage, checksum: (i64, Vec<u8>)) -> Vec<u8> {
    let authenticator = Authenticator {
        realm: &ticket.realm,
        client: &ticket.client,
        checksum,
        now: now(),
        sequence_number: number(),
    };
    let cipher = ticket.key.encrypt(usage, confounder(), &authenticator.encode());
    ap_request(&ticket.ticket, encrypted(ticket.key.enctype(), &cipher))
}

/// The clock has milliseconds; two authenticators of the same one differ all the same.
pub(crate) fn now() -> Moment {
    let since = clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment {
        seconds: i64::try_from(since.as_secs()).unwrap_or_default(),
        microseconds: since.subsec_millis() * 1000 + number() % 1000,
    }
}

fn confounder() -> [u8; 16] {
    random::bytes(16).try_into().unwrap_or_default()
}

/// Positive also where it is taken for a signed number.
fn number() -> u32 {
    let bytes: [u8; 4] = random::bytes(4).try_into().unwrap_or_default();
    u32::from_be_bytes(bytes) >> 1
}

fn malformed() -> Failure {
    Failure::unavailable(
        "kerberos.malformed",
        "the key distribution centre's answer can't be read, or was changed on its way",
    )
}
