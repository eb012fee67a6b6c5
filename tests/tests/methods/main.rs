//! How the agent proves who a workload is: a file for each auth method.

mod alicloud;
mod approle;
mod aws;
mod azure;
mod cert;
mod cf;
mod gcp;
mod jwt;
mod kerberos;
mod kubernetes;
mod method_failures;
mod oci;
mod passwords;
mod token_file;
