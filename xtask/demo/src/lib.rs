//! A shop's price list, with a fault in it.

/// The price of `count` pieces at `unit` cents each: 10 % off from ten pieces on.
pub fn price(count: u32, unit: u32) -> u32 {
    let total = count * unit;
    if count > 10 { total - total / 10 } else { total }
}

/// The cheapest of some offers, or `None` when there is none.
pub fn cheapest(offers: &[u32]) -> Option<u32> {
    let mut best = *offers.first()?;
    for &offer in &offers[1..] {
        if offer < best {
            best = offer;
        }
    }
    Some(best)
}
