//! The region that a login is signed for, where it is to be looked up.

use crate::environment::{self, Needs};
use crate::memory::Memory;
use crate::region::{DEFAULT, ENVIRONMENT, Region, VARIABLES, checked};
use crate::{Config, failed, imds, profile};
use usher_plugin::{Failure, Kind};
use usher_plugin_lib::Saved;

/// What looking up the region needs.
pub(crate) fn needs(region: &Region) -> [Needs; 3] {
    if region.is_looked_up() { [ENVIRONMENT, profile::NEEDS, imds::NEEDS] } else { [&[]; 3] }
}

/// The region that the login is signed for.
pub(crate) fn resolve(config: &Config, memory: &mut Saved<Memory>) -> Result<String, Failure> {
    if !config.region.is_looked_up() {
        return Ok(config.region.explicit().unwrap_or(DEFAULT).to_owned());
    }
    if let Some(region) = environment::first(&VARIABLES)? {
        return checked(region, "AWS_REGION");
    }
    if let Some(region) = profile::region()? {
        return checked(region, "the profile");
    }
    // An instance stays where it is.
    if let Some(region) = &memory.region {
        return Ok(region.clone());
    }
    let Some(imds) = imds::Imds::of_environment()? else {
        let message = "no region is set: write `region`, or set AWS_REGION";
        return Err(failed(Kind::Unavailable, "aws.region", message).detail("key", "config.region"));
    };
    let region = checked(imds.open()?.region()?, "the EC2 metadata service")?;
    memory.region = Some(region.clone());
    Ok(region)
}
