//! Numbers of data sets as exact rates: read from their text, scaled, and rounded once to the nano-USD per 10⁶ units.

use purser_core::pricing::Rate;
use serde_json::Value;

/// What an amount of a data set is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Per {
    /// One unit.
    Unit,
    /// A thousand.
    Thousand,
    /// A million.
    Million,
    /// An hour, where the unit is a second.
    Hour,
}

/// The rate of an amount in USD, a JSON number or text. Noise of binary fractions is far below what is rounded away.
pub(super) fn rate(amount: &Value, per: Per) -> Option<Rate> {
    let text = match amount {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let (digits, exponent) = digits(&text)?;
    // nano-USD per 10⁶ units: 10⁹ × 10⁶ for an amount of one unit.
    let (power, by) = match per {
        Per::Unit => (15, 1),
        Per::Thousand => (12, 1),
        Per::Million => (9, 1),
        Per::Hour => (15, 3_600),
    };
    let power = exponent + power;
    let scale = 10_u128.checked_pow(power.unsigned_abs())?;
    let (over, under) = if power < 0 { (digits, scale * by) } else { (digits.checked_mul(scale)?, by) };
    u64::try_from((over + under / 2) / under).ok().map(Rate)
}

/// A decimal text as digits and a power of ten.
fn digits(text: &str) -> Option<(u128, i32)> {
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let exponent: i32 = exponent.parse().ok()?;
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, exponent - i32::try_from(fraction.len()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_are_read_exactly_and_binary_noise_is_rounded_away() {
        let cases = [
            (json!(2e-7), Per::Unit, Some("0.20")),
            (json!(2.0000000000000002e-7), Per::Unit, Some("0.20")),
            (json!(1.25e-6), Per::Unit, Some("1.25")),
            (json!(1.3e-10), Per::Unit, Some("0.00013")),
            (json!("0.003625"), Per::Million, Some("0.003625")),
            (json!(0), Per::Million, Some("0.00")),
            (json!(10), Per::Thousand, Some("10000.00")),
            (json!("0.111"), Per::Hour, Some("30.833333333")),
            (json!(0.36), Per::Hour, Some("100.00")),
            (json!(-1), Per::Unit, None),
            (json!(null), Per::Unit, None),
        ];
        for (amount, per, want) in cases {
            assert_eq!(rate(&amount, per).map(|rate| rate.to_string()).as_deref(), want, "{amount} {per:?}");
        }
    }
}
