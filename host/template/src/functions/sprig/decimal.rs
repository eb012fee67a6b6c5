//! Decimal arithmetic for Sprig's float functions: 0.1 and 0.2 make 0.3.

/// A number of decimal digits: `mantissa` × 10^`exponent`.
#[derive(Clone, Copy)]
pub(super) struct Decimal {
    mantissa: i128,
    exponent: i32,
}

/// How many digits a quotient has behind the point.
const QUOTIENT_DIGITS: i32 = 16;

impl Decimal {
    /// The shortest decimal number that stands for the float.
    pub(super) fn new(number: f64) -> Option<Self> {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e')?;
        let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        Some(Self {
            mantissa: mantissa.replace('.', "").parse().ok()?,
            exponent: exponent.parse::<i32>().ok()? - i32::try_from(fraction).ok()?,
        })
    }

    pub(super) fn float(self) -> Option<f64> {
        format!("{}e{}", self.mantissa, self.exponent).parse().ok()
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let mantissa = self.at(exponent)?.checked_add(other.at(exponent)?)?;
        Some(Self { mantissa, exponent })
    }

    pub(super) fn subtract(self, other: Self) -> Option<Self> {
        self.add(Self { mantissa: -other.mantissa, exponent: other.exponent })
    }

    pub(super) fn multiply(self, other: Self) -> Option<Self> {
        Some(Self {
            mantissa: self.mantissa.checked_mul(other.mantissa)?,
            exponent: self.exponent.checked_add(other.exponent)?,
        })
    }

    pub(super) fn divide(self, other: Self) -> Option<Self> {
        // The quotient at the wanted exponent, rounded half away from zero.
        let shift = QUOTIENT_DIGITS + self.exponent - other.exponent;
        let (mut over, mut under) = (self.mantissa, other.mantissa);
        let scale = 10_i128.checked_pow(shift.unsigned_abs())?;
        if shift >= 0 {
            over = over.checked_mul(scale)?;
        } else {
            under = under.checked_mul(scale)?;
        }
        let quotient = over.checked_div(under)?;
        let rest = over.checked_rem(under)?;
        let up = rest.unsigned_abs() >= under.unsigned_abs().div_ceil(2);
        let sign = over.signum() * under.signum();
        let mantissa = quotient.checked_add(if up { sign } else { 0 })?;
        Some(Self { mantissa, exponent: -QUOTIENT_DIGITS })
    }

    fn at(self, exponent: i32) -> Option<i128> {
        let shift = u32::try_from(self.exponent - exponent).ok()?;
        self.mantissa.checked_mul(10_i128.checked_pow(shift)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_quotients_are_decimal() {
        let number = |number| Decimal::new(number).unwrap();
        assert_eq!(number(0.1).add(number(0.2)).unwrap().float(), Some(0.3));
        assert_eq!(number(1.0).divide(number(3.0)).unwrap().float(), Some(0.333_333_333_333_333_3));
        assert_eq!(number(-1.0).divide(number(8.0)).unwrap().float(), Some(-0.125));
        assert_eq!(number(1.1).multiply(number(3.0)).unwrap().float(), Some(3.3));
        assert!(number(1.0).divide(number(0.0)).is_none());
    }
}
