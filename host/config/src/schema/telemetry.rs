//! The table of `telemetry`, which the incumbents have and this agent has no use for.

use super::Block;
use super::Kind::{Boolean, Duration, Integer, Strings, Text};
use super::key::{SERVER_PART, built, no_effect};

const OTHER_TARGET: &str = "this agent sends no metrics; set metrics_address = \"127.0.0.1:9102\" and let Prometheus, or a collector that reads its format, fetch them there";
const OWN_NAMES: &str =
    "the metrics at metrics_address have names and labels of their own; take it out";

pub(crate) static TELEMETRY: Block = Block {
    name: "telemetry",
    closed: false,
    hint: "",
    keys: &[
        built(
            "prometheus_retention_time",
            Duration,
            "Taken without effect: what metrics_address serves is always up to date.",
        ),
        built(
            "disable_hostname",
            Boolean,
            "Taken without effect: no metric holds the host's name.",
        ),
        no_effect("enable_hostname_label", Boolean, OWN_NAMES),
        no_effect("metrics_prefix", Text, OWN_NAMES),
        no_effect("prefix_filter", Strings, OWN_NAMES),
        no_effect("filter_default", Boolean, OWN_NAMES),
        no_effect("usage_gauge_period", Duration, SERVER_PART),
        no_effect("maximum_gauge_cardinality", Integer, SERVER_PART),
        no_effect("lease_metrics_epsilon", Duration, SERVER_PART),
        no_effect("num_lease_metrics_buckets", Integer, SERVER_PART),
        no_effect("add_lease_metrics_namespace_labels", Boolean, SERVER_PART),
        no_effect("add_mount_point_rollback_metrics", Boolean, SERVER_PART),
        no_effect("statsd_address", Text, OTHER_TARGET),
        no_effect("statsite_address", Text, OTHER_TARGET),
        no_effect("dogstatsd_addr", Text, OTHER_TARGET),
        no_effect("dogstatsd_tags", Strings, OTHER_TARGET),
        no_effect("circonus_api_token", Text, OTHER_TARGET),
        no_effect("circonus_api_app", Text, OTHER_TARGET),
        no_effect("circonus_api_url", Text, OTHER_TARGET),
        no_effect("circonus_submission_interval", Text, OTHER_TARGET),
        no_effect("circonus_submission_url", Text, OTHER_TARGET),
        no_effect("circonus_check_id", Text, OTHER_TARGET),
        no_effect("circonus_check_force_metric_activation", Text, OTHER_TARGET),
        no_effect("circonus_check_instance_id", Text, OTHER_TARGET),
        no_effect("circonus_check_search_tag", Text, OTHER_TARGET),
        no_effect("circonus_check_tags", Text, OTHER_TARGET),
        no_effect("circonus_check_display_name", Text, OTHER_TARGET),
        no_effect("circonus_broker_id", Text, OTHER_TARGET),
        no_effect("circonus_broker_select_tag", Text, OTHER_TARGET),
        no_effect("stackdriver_project_id", Text, OTHER_TARGET),
        no_effect("stackdriver_location", Text, OTHER_TARGET),
        no_effect("stackdriver_namespace", Text, OTHER_TARGET),
        no_effect("stackdriver_debug_logs", Boolean, OTHER_TARGET),
    ],
};
