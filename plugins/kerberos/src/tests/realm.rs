//! A key distribution centre for the tests: it checks each request as a real one would, and can be
//! told to misbehave.

use crate::encryption::{Enctype, Key, Usage};
use crate::messages::{NT_PRINCIPAL, NT_SRV_INST, principal};
use std::cell::RefCell;
use std::rc::Rc;
use usher_plugin_lib::der::{
    self, Reader, application, application_tag, explicit, flags, integer, octets, sequence, string,
    time,
};

pub(super) const USER: &str = "app";
pub(super) const REALM: &str = "EXAMPLE.ORG";
pub(super) const SERVICE: &str = "HTTP/vault.example.org";
/// The fake host's time, in seconds since 1970.
pub(super) const EXAMPLE: i64 = 1_767_225_600;

#[derive(Clone)]
pub(super) struct Realm(Rc<RefCell<State>>);

struct State {
    /// Of the user.
    keys: Vec<Key>,
    requests: Vec<&'static str>,
    /// Whether it is the TGS exchange, and the code.
    refusal: Option<(bool, i64)>,
    silent_of_types: bool,
    /// The version of its keys, and pre-authentication isn't looked at.
    trusting: Option<u32>,
    confirms: Option<Confirmed>,
    asked_to_confirm: bool,
    keeps_time: bool,
    other_nonce: bool,
    service: String,
    ticket_size: usize,
    spoil: Option<(&'static str, Spoil)>,
}

#[derive(Clone, Copy)]
enum Confirmed {
    Request,
    Another,
}

#[derive(Clone, Copy)]
enum Spoil {
    Truncate(usize),
    Change(usize),
}

impl Realm {
    pub(super) fn new(keys: Vec<Key>) -> Self {
        Self(Rc::new(RefCell::new(State {
            keys,
            requests: Vec::new(),
            refusal: None,
            silent_of_types: false,
            trusting: None,
            confirms: None,
            asked_to_confirm: false,
            keeps_time: false,
            other_nonce: false,
            service: SERVICE.to_owned(),
            ticket_size: 100,
            spoil: None,
        })))
    }

    pub(super) fn requests(&self) -> Vec<&'static str> {
        self.0.borrow().requests.clone()
    }

    pub(super) fn refuse(&self, in_tgs: bool, code: i64) {
        self.0.borrow_mut().refusal = Some((in_tgs, code));
    }

    pub(super) fn say_nothing_of_types(&self, silent: bool) {
        self.0.borrow_mut().silent_of_types = silent;
    }

    pub(super) fn trust_everybody(&self, version: u32) {
        self.0.borrow_mut().trusting = Some(version);
    }

    pub(super) fn change_keys(&self, keys: Vec<Key>) {
        self.0.borrow_mut().keys = keys;
    }

    pub(super) fn confirm_requests(&self) {
        self.0.borrow_mut().confirms = Some(Confirmed::Request);
    }

    pub(super) fn confirm_another_request(&self) {
        self.0.borrow_mut().confirms = Some(Confirmed::Another);
    }

    /// In the newest AS exchange.
    pub(super) fn was_asked_to_confirm(&self) -> bool {
        self.0.borrow().asked_to_confirm
    }

    /// Its clock stands still, and it compares.
    pub(super) fn keep_time(&self) {
        self.0.borrow_mut().keeps_time = true;
    }

    pub(super) fn answer_another_nonce(&self) {
        self.0.borrow_mut().other_nonce = true;
    }

    pub(super) fn answer_for_service(&self, service: &str) {
        service.clone_into(&mut self.0.borrow_mut().service);
    }

    pub(super) fn make_tickets_of(&self, size: usize) {
        self.0.borrow_mut().ticket_size = size;
    }

    /// Answers of this exchange end after so many bytes.
    pub(super) fn truncate(&self, exchange: &'static str, length: usize) -> bool {
        self.0.borrow_mut().spoil = Some((exchange, Spoil::Truncate(length)));
        length < 2000
    }

    pub(super) fn change_byte(&self, exchange: &'static str, at: usize) {
        self.0.borrow_mut().spoil = Some((exchange, Spoil::Change(at)));
    }

    pub(super) fn service_ticket(&self) -> Vec<u8> {
        self.0.borrow().ticket()
    }

    pub(super) fn answer(&self, request: &[u8]) -> Vec<u8> {
        let mut state = self.0.borrow_mut();
        let (exchange, mut answer) = if request[0] == application_tag(10) {
            ("AS", state.initial(request))
        } else {
            ("TGS", state.granting(request))
        };
        state.requests.push(exchange);
        match state.spoil {
            Some((spoilt, Spoil::Truncate(length))) if spoilt == exchange => {
                answer.truncate(length);
            }
            Some((spoilt, Spoil::Change(at))) if spoilt == exchange && at < answer.len() => {
                answer[at] ^= 0x11;
            }
            _ => {}
        }
        answer
    }
}

/// Of each ticket.
pub(super) fn session_key() -> Key {
    Key::new(Enctype::Aes256Sha1, &[8; 32]).unwrap()
}

impl State {
    fn ticket(&self) -> Vec<u8> {
        application(1, &octets(&vec![0x55; self.ticket_size]))
    }

    fn initial(&mut self, request: &[u8]) -> Vec<u8> {
        let request_read = Request::read(request);
        assert_eq!(request_read.client.as_deref(), Some(&principal(NT_PRINCIPAL, USER)[..]));
        assert_eq!(request_read.service, principal(NT_SRV_INST, "krbtgt/EXAMPLE.ORG"));
        self.asked_to_confirm = request_read.padata.iter().any(|(kind, _)| *kind == 149);
        if let Some((false, code)) = self.refusal {
            return self.refused(code, None);
        }
        let timestamp = request_read.padata.iter().find(|(kind, _)| *kind == 2);
        let mut reply_key = self.keys[0].clone();
        match timestamp {
            _ if self.trusting.is_some() => {}
            None => return self.refused(25, Some(false)),
            Some((_, timestamp)) => {
                let mut data = Reader::new(timestamp).only_sequence().unwrap();
                let enctype = data.explicit(0).unwrap().integer().unwrap();
                let cipher = data.explicit(2).unwrap().octets().unwrap();
                let Some(key) = self.keys.iter().find(|key| key.enctype().number() == enctype)
                else {
                    return self.refused(24, Some(self.silent_of_types));
                };
                let Some(plain) = key.decrypt(Usage::TIMESTAMP, cipher) else {
                    return self.refused(24, Some(false));
                };
                let mut plain = Reader::new(&plain).only_sequence().unwrap();
                let seconds = plain.explicit(0).unwrap().time().unwrap();
                if self.keeps_time && (seconds - EXAMPLE).abs() > 300 {
                    return self.refused(37, None);
                }
                reply_key = key.clone();
            }
        }
        let confirmed = self.confirms.filter(|_| self.asked_to_confirm).map(|confirmed| {
            let other = match confirmed {
                Confirmed::Request => request.to_vec(),
                Confirmed::Another => [request, &[0]].concat(),
            };
            let checksum = reply_key.checksum(Usage::AS_REQUEST_CHECKSUM, &other);
            (reply_key.enctype().checksum_type(), checksum)
        });
        let part = self.part(25, &request_read, "krbtgt/EXAMPLE.ORG", confirmed);
        let version = self.trusting.unwrap_or(1);
        self.reply(11, &reply_key, Usage::AS_REPLY, version, &part)
    }

    fn granting(&mut self, request: &[u8]) -> Vec<u8> {
        let request = Request::read(request);
        assert_eq!(request.client, None);
        assert_eq!(request.service, principal(NT_PRINCIPAL, SERVICE));
        let (_, ap_request) = request.padata.iter().find(|(kind, _)| *kind == 1).unwrap();
        let presented = Presented::read(ap_request, Usage::TGS_REQUEST_AUTHENTICATOR);
        if presented.ticket != self.ticket() {
            return self.refused(41, None);
        }
        let (kind, checksum) = presented.checksum;
        assert_eq!(kind, 16);
        assert!(session_key().verify(Usage::TGS_REQUEST_CHECKSUM, &request.body, &checksum));
        if let Some((true, code)) = self.refusal {
            return self.refused(code, None);
        }
        let part = self.part(26, &request, &self.service.clone(), None);
        self.reply(13, &session_key(), Usage::TGS_REPLY, 1, &part)
    }

    fn part(
        &self,
        tag: u8,
        request: &Request,
        service: &str,
        confirmed: Option<(i64, Vec<u8>)>,
    ) -> Vec<u8> {
        let key = session_key();
        let now = request.till - 24 * 3600;
        let nonce = if self.other_nonce { request.nonce ^ 1 } else { request.nonce };
        let flag = if confirmed.is_some() { 1 << 16 } else { 0 };
        let mut parts = vec![
            explicit(
                0,
                sequence(&[
                    explicit(0, integer(key.enctype().number())),
                    explicit(1, octets(key.bytes())),
                ]),
            ),
            explicit(1, sequence(&[])),
            explicit(2, integer(nonce)),
            explicit(4, flags(flag)),
            explicit(5, time(now)),
            explicit(7, time(now + 3600)),
            explicit(9, string(REALM)),
            explicit(10, principal(NT_SRV_INST, service)),
        ];
        if let Some((kind, checksum)) = confirmed {
            let checksum = sequence(&[explicit(0, integer(kind)), explicit(1, octets(&checksum))]);
            let padata = sequence(&[explicit(1, integer(149)), explicit(2, octets(&checksum))]);
            parts.push(explicit(12, sequence(&[padata])));
        }
        application(tag, &sequence(&parts))
    }

    fn reply(&self, number: u8, key: &Key, usage: Usage, version: u32, part: &[u8]) -> Vec<u8> {
        let cipher = key.encrypt(usage, [3; 16], part);
        let encrypted = sequence(&[
            explicit(0, integer(key.enctype().number())),
            explicit(1, integer(version)),
            explicit(2, octets(&cipher)),
        ]);
        let parts = [
            explicit(0, integer(5)),
            explicit(1, integer(number)),
            explicit(3, string(REALM)),
            explicit(4, principal(NT_PRINCIPAL, USER)),
            explicit(5, self.ticket()),
            explicit(6, encrypted),
        ];
        application(number, &sequence(&parts))
    }

    /// `silent`: whether nothing is said of the types of the user's keys; None: nor could be.
    fn refused(&self, code: i64, silent: Option<bool>) -> Vec<u8> {
        let mut parts = vec![
            explicit(0, integer(5)),
            explicit(1, integer(30)),
            explicit(4, time(EXAMPLE)),
            explicit(5, integer(0)),
            explicit(6, integer(code)),
            explicit(9, string(REALM)),
            explicit(10, principal(NT_SRV_INST, "krbtgt/EXAMPLE.ORG")),
            explicit(11, string("SAID BY THE KDC")),
        ];
        if silent == Some(false) {
            let types: Vec<_> = self
                .keys
                .iter()
                .map(|key| sequence(&[explicit(0, integer(key.enctype().number()))]))
                .collect();
            let info =
                sequence(&[explicit(1, integer(19)), explicit(2, octets(&sequence(&types)))]);
            let hint = sequence(&[explicit(1, integer(2)), explicit(2, octets(&[]))]);
            parts.push(explicit(12, octets(&sequence(&[hint, info]))));
        }
        application(30, &sequence(&parts))
    }
}

/// A `KDC-REQ`.
struct Request {
    padata: Vec<(i64, Vec<u8>)>,
    body: Vec<u8>,
    client: Option<Vec<u8>>,
    service: Vec<u8>,
    till: i64,
    nonce: i64,
}

impl Request {
    fn read(bytes: &[u8]) -> Self {
        let mut reader = Reader::new(bytes);
        let tag = reader.tag().unwrap();
        let mut reader = reader.inside(tag).unwrap().only_sequence().unwrap();
        assert_eq!(reader.explicit(1).unwrap().integer(), Ok(5));
        assert_eq!(reader.explicit(2).unwrap().integer(), Ok(i64::from(tag & 0x1f)));
        let mut padata = Vec::new();
        if let Some(mut list) = reader.optional(3).unwrap() {
            let mut list = list.only_sequence().unwrap();
            while !list.is_empty() {
                let mut item = list.inside(der::SEQUENCE).unwrap();
                let kind = item.explicit(1).unwrap().integer().unwrap();
                padata.push((kind, item.explicit(2).unwrap().octets().unwrap().to_vec()));
            }
        }
        let body = reader.explicit(4).unwrap().whole().unwrap().to_vec();
        let mut reader = Reader::new(&body).only_sequence().unwrap();
        reader.explicit(0).unwrap();
        let client = reader.optional(1).unwrap();
        let client = client.map(|mut client| client.whole().unwrap().to_vec());
        assert_eq!(reader.explicit(2).unwrap().string().unwrap(), REALM);
        let service = reader.explicit(3).unwrap().whole().unwrap().to_vec();
        let till = reader.explicit(5).unwrap().time().unwrap();
        let nonce = reader.explicit(7).unwrap().integer().unwrap();
        Self { padata, client, service, till, nonce, body: body.clone() }
    }
}

/// What a SPNEGO token presents.
pub(super) fn decoded(token: &[u8]) -> Presented {
    let mut reader = Reader::new(token).inside(application_tag(0)).unwrap();
    assert_eq!(reader.whole().unwrap(), [6, 6, 0x2b, 6, 1, 5, 5, 2]);
    let mut init = reader.explicit(0).unwrap().only_sequence().unwrap();
    let kerberos = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2];
    let mut mechanisms = init.explicit(0).unwrap().only_sequence().unwrap();
    assert_eq!(mechanisms.whole().unwrap(), kerberos);
    let mechanism_token = init.explicit(2).unwrap().octets().unwrap();
    assert!(init.is_empty());
    let inside = Reader::new(mechanism_token).content(application_tag(0)).unwrap();
    let ap_request = inside.strip_prefix(&kerberos).unwrap().strip_prefix(&[1, 0]).unwrap();
    Presented::read(ap_request, Usage::AUTHENTICATOR)
}

/// An AP-REQ, its authenticator opened.
pub(super) struct Presented {
    pub(super) ticket: Vec<u8>,
    /// Encrypted.
    pub(super) authenticator: Vec<u8>,
    pub(super) checksum: (i64, Vec<u8>),
    pub(super) seconds: i64,
}

impl Presented {
    fn read(bytes: &[u8], usage: Usage) -> Self {
        let mut reader = Reader::new(bytes).inside(application_tag(14)).unwrap();
        let mut reader = reader.only_sequence().unwrap();
        assert_eq!(reader.explicit(0).unwrap().integer(), Ok(5));
        assert_eq!(reader.explicit(1).unwrap().integer(), Ok(14));
        assert_eq!(reader.explicit(2).unwrap().flags(), Ok(0));
        let ticket = reader.explicit(3).unwrap().whole().unwrap().to_vec();
        let mut data = reader.explicit(4).unwrap().only_sequence().unwrap();
        let key = session_key();
        assert_eq!(data.explicit(0).unwrap().integer(), Ok(key.enctype().number()));
        let authenticator = data.explicit(2).unwrap().octets().unwrap().to_vec();
        let plain = key.decrypt(usage, &authenticator).expect("the session key");
        let mut reader = Reader::new(&plain).inside(application_tag(2)).unwrap();
        let mut reader = reader.only_sequence().unwrap();
        assert_eq!(reader.explicit(0).unwrap().integer(), Ok(5));
        reader.explicit(1).unwrap();
        reader.explicit(2).unwrap();
        let mut checksum = reader.explicit(3).unwrap().only_sequence().unwrap();
        let kind = checksum.explicit(0).unwrap().integer().unwrap();
        let checksum = (kind, checksum.explicit(1).unwrap().octets().unwrap().to_vec());
        let microseconds = reader.explicit(4).unwrap().integer().unwrap();
        assert!((0..1_000_000).contains(&microseconds));
        let seconds = reader.explicit(5).unwrap().time().unwrap();
        Self { ticket, authenticator, checksum, seconds }
    }
}
