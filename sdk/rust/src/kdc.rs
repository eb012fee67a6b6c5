//! Talk with a Kerberos key distribution centre.

use crate::{Failure, backend};

/// One AS-REQ or TGS-REQ (DER), one answer. Needs [`crate::Need::kdc`].
///
/// The host takes the realm's servers from the `[realms]` section of `krb5_conf`, a file the
/// plug-in may read.
pub fn exchange(krb5_conf: &str, realm: &str, request: &[u8]) -> Result<Vec<u8>, Failure> {
    backend::exchange(krb5_conf, realm, request)
}
