//! Money as integers. `f64` never touches it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Nano-dollars: 10⁻⁹ USD. 64 bits hold 18 × 10⁹ USD.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(pub u64);

/// One US dollar in nano-dollars.
pub const USD: u64 = 1_000_000_000;

/// Why a text is no amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoneyError {
    /// Not digits with at most one point.
    #[error("`{0}` is not a decimal amount such as 12.50")]
    NotDecimal(String),
    /// Finer than 10⁻⁹ USD.
    #[error("`{0}` has more than nine decimals: amounts are kept to the nano-dollar")]
    TooFine(String),
    /// Above what 64 bits of nano-dollars hold.
    #[error("`{0}` is more than 18 billion USD")]
    TooLarge(String),
}

impl NanoUsd {
    /// Reads a decimal amount of USD, such as `"0.25"` or `"1200"`.
    ///
    /// # Errors
    /// [`MoneyError`] when the text is no decimal, is finer than a nano-dollar, or does not fit.
    pub fn from_decimal(text: &str) -> Result<Self, MoneyError> {
        let bad = || MoneyError::NotDecimal(text.to_owned());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
            return Err(bad());
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 9 {
            return Err(MoneyError::TooFine(text.to_owned()));
        }
        let large = || MoneyError::TooLarge(text.to_owned());
        let whole: u64 = whole.parse().map_err(|_| large())?;
        let nano: u64 = format!("{fraction:0<9}").parse().map_err(|_| bad())?;
        whole.checked_mul(USD).and_then(|w| w.checked_add(nano)).map(Self).ok_or_else(large)
    }

    /// The sum, held at the largest amount when it does not fit.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Shows USD with as many decimals as are needed, at least two: `1.25`, `0.000123`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.checked_div(USD).unwrap_or(0);
        let nano = self.0.checked_rem(USD).unwrap_or(0);
        let text = format!("{nano:09}");
        let short = text.trim_end_matches('0');
        write!(f, "{whole}.{short:0<2}")
    }
}

/// A JSON number of some unit of money as a whole number of 10⁻`digits` of it, to the nearest, half up. `None` when it is
/// no number, below zero, or does not fit. For what providers report of their own costs.
#[must_use]
pub fn scaled(raw: &[u8], digits: i32) -> Option<u64> {
    let text = std::str::from_utf8(raw).ok()?.trim();
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all: String = [whole, fraction].concat();
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let exponent: i32 = exponent.parse().ok()?;
    // The value is `all` × 10^-fraction × 10^exponent; what is wanted is that times 10^digits.
    let shift = exponent.checked_add(digits)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let all = all.trim_start_matches('0');
    if shift >= 0 {
        let number: u64 = if all.is_empty() { 0 } else { all.parse().ok()? };
        return number.checked_mul(10u64.checked_pow(u32::try_from(shift).ok()?)?);
    }
    let cut = usize::try_from(shift.unsigned_abs()).ok()?;
    let Some(kept) = all.len().checked_sub(cut) else { return Some(0) };
    let number: u64 = if kept == 0 { 0 } else { all.get(..kept)?.parse().ok()? };
    let up = all.as_bytes().get(kept).is_some_and(|digit| *digit >= b'5');
    number.checked_add(u64::from(up))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly_and_shown_again() {
        let cases = [
            ("0", Ok(0), "0.00"),
            ("1", Ok(USD), "1.00"),
            ("0.25", Ok(250_000_000), "0.25"),
            ("0.000000001", Ok(1), "0.000000001"),
            ("12.500000000000", Ok(12_500_000_000), "12.50"),
            ("0.0000000001", Err(MoneyError::TooFine("0.0000000001".into())), ""),
            ("99999999999", Err(MoneyError::TooLarge("99999999999".into())), ""),
            ("-1", Err(MoneyError::NotDecimal("-1".into())), ""),
            ("1.", Err(MoneyError::NotDecimal("1.".into())), ""),
            (".5", Err(MoneyError::NotDecimal(".5".into())), ""),
            ("1e3", Err(MoneyError::NotDecimal("1e3".into())), ""),
            ("", Err(MoneyError::NotDecimal(String::new())), ""),
        ];
        for (text, want, shown) in cases {
            let got = NanoUsd::from_decimal(text);
            assert_eq!(got, want.map(NanoUsd), "{text}");
            if let Ok(amount) = got {
                assert_eq!(amount.to_string(), shown, "{text}");
            }
        }
    }

    #[test]
    fn reported_amounts_are_read_to_the_nearest_nano_dollar() {
        let cases = [
            ("0.000112", 9, Some(112_000)),
            ("7.02e-05", 9, Some(70_200)),
            ("1E-9", 9, Some(1)),
            ("4.9e-10", 9, Some(0)),
            ("5e-10", 9, Some(1)),
            ("2071250", -1, Some(207_125)),
            ("2071255", -1, Some(207_126)),
            ("5", -1, Some(1)),
            ("0", 9, Some(0)),
            ("1e3", 9, Some(1_000_000_000_000)),
            ("1e300", 9, None),
            ("-1", 9, None),
            ("x", 9, None),
            ("", 9, None),
        ];
        for (text, digits, want) in cases {
            assert_eq!(scaled(text.as_bytes(), digits), want, "{text}");
        }
    }
}
