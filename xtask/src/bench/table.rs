//! The figures as a table, each beside its limit.

#[derive(Default)]
pub(super) struct Table(Vec<Row>);

pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) bao: Option<f64>,
    pub(super) usher: f64,
    pub(super) limit: Limit,
}

pub(super) enum Limit {
    /// Of usher's figure to bao's.
    Ratio(f64),
    /// Of usher's figure.
    Absolute(f64),
    /// As `Ratio`, where more is better.
    RatioAtLeast(f64),
    /// As `Absolute`, where more is better.
    AtLeast(f64),
}

impl Table {
    pub(super) fn add(&mut self, row: Row) {
        self.0.push(row);
    }

    /// Prints all rows; returns how many are beyond their limit.
    pub(super) fn print(&self) -> usize {
        println!("\n| medians, this machine | bao | usher | ratio | limit | |");
        println!("| --- | ---: | ---: | ---: | ---: | --- |");
        let mut exceeded = 0;
        for row in &self.0 {
            let ratio = row.bao.map(|bao| row.usher / bao);
            let (within, limit, beyond) = match row.limit {
                Limit::Ratio(limit) => {
                    (ratio.is_some_and(|ratio| ratio <= limit), format!("{limit} ×"), "OVER")
                }
                Limit::Absolute(limit) => (row.usher <= limit, format!("{limit}"), "OVER"),
                Limit::RatioAtLeast(limit) => {
                    (ratio.is_some_and(|ratio| ratio >= limit), format!("≥ {limit} ×"), "UNDER")
                }
                Limit::AtLeast(limit) => (row.usher >= limit, format!("≥ {limit}"), "UNDER"),
            };
            exceeded += usize::from(!within);
            println!(
                "| {} | {} | {:.1} | {} | {limit} | {} |",
                row.what,
                row.bao.map_or("–".into(), |bao| format!("{bao:.1}")),
                row.usher,
                ratio.map_or("–".into(), |ratio| format!("{ratio:.3} ×")),
                if within { "ok" } else { beyond },
            );
        }
        exceeded
    }
}
