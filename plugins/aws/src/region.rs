//! Regions: which is configured, and where its Security Token Service (STS) is.

use crate::environment::{self, Needs};
use crate::failed;
use serde::Deserialize;
use usher_plugin::{Failure, Kind};

/// A region as configured; empty: to be looked up. None: [`DEFAULT`], though a region of the
/// environment counts for requests that the agent itself sends.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Region(Option<String>);

impl Region {
    /// Of the configuration. None: not configured, or to be looked up.
    pub(crate) fn explicit(&self) -> Option<&str> {
        self.0.as_deref().filter(|region| !region.is_empty())
    }

    /// Whether it has the form of a region, or says that it is to be looked up.
    pub(crate) fn is_plausible(&self) -> bool {
        self.explicit().is_none_or(is_region)
    }

    pub(crate) fn is_looked_up(&self) -> bool {
        self.0.as_deref() == Some("")
    }
}

/// The region of the STS that the agent itself asks for credentials: nearer is better, and the
/// login doesn't depend on it.
pub(crate) fn of_requests(region: &Region) -> Result<String, Failure> {
    match region.explicit() {
        Some(region) => Ok(region.to_owned()),
        None => match environment::first(&VARIABLES)? {
            Some(region) => checked(region, "AWS_REGION"),
            None => Ok(DEFAULT.to_owned()),
        },
    }
}

/// Where requests for credentials may go to, if that isn't configured.
pub(crate) const STS_NEEDS: Needs = &[
    ENVIRONMENT[0],
    ENVIRONMENT[1],
    ("connect", "https://*.amazonaws.com"),
    ("connect", "https://*.amazonaws.com.cn"),
    ("connect", "https://*.amazonaws.eu"),
    ("connect", "https://*.c2s.ic.gov"),
    ("connect", "https://*.sc2s.sgov.gov"),
    ("connect", "https://*.cloud.adc-e.uk"),
    ("connect", "https://*.csp.hci.ic.gov"),
];

/// The host of a region's STS. The request must be signed for the same region, or AWS refuses it;
/// only us-east-1 has the global one.
pub(crate) fn sts_host(region: &str) -> String {
    if region == DEFAULT {
        return format!("sts.{AWS}");
    }
    let partition = PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix));
    format!("sts.{region}.{}", partition.map_or(AWS, |(_, domain)| domain))
}

/// A region that `source` gives, if it is one.
pub(crate) fn checked(region: String, source: &str) -> Result<String, Failure> {
    if is_region(&region) {
        return Ok(region);
    }
    let message = format!("what {source} gives as region is none; write `region`");
    Err(failed(Kind::Unavailable, "aws.region", &message))
}

fn is_region(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.bytes().all(allowed) && (5..=32).contains(&text.len()) && !text.starts_with('-')
}

pub(crate) const DEFAULT: &str = "us-east-1";

pub(crate) const ENVIRONMENT: Needs = &[("env", VARIABLES[0]), ("env", VARIABLES[1])];

pub(crate) const VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// Of the partitions `aws` and `aws-us-gov`.
const AWS: &str = "amazonaws.com";

/// Beginnings of region names, and the domain of their partition (the SDKs' `partitions.json`).
const PARTITIONS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_has_its_host() {
        for (region, host) in [
            ("us-east-1", "sts.amazonaws.com"),
            ("us-east-2", "sts.us-east-2.amazonaws.com"),
            ("eu-west-1", "sts.eu-west-1.amazonaws.com"),
            ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
            ("eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu"),
            ("us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov"),
            ("eu-isoe-west-1", "sts.eu-isoe-west-1.cloud.adc-e.uk"),
            ("us-isof-south-1", "sts.us-isof-south-1.csp.hci.ic.gov"),
        ] {
            assert_eq!(sts_host(region), host);
        }
    }

    #[test]
    fn each_partition_may_be_asked_for_credentials() {
        for domain in PARTITIONS.iter().map(|(_, domain)| *domain).chain([AWS]) {
            let origin = format!("https://*.{domain}");
            assert!(STS_NEEDS.contains(&("connect", origin.as_str())), "{origin}");
        }
    }

    #[test]
    fn only_what_can_be_a_label_is_a_region() {
        for text in ["", "eu", "eu-west-1.evil.test", "EU-WEST-1", "eu west 1", "-eu-west-1"] {
            assert!(!is_region(text), "{text:?}");
        }
        assert!(is_region("ap-southeast-5"));
    }
}
