use demo::{cheapest, price};

#[test]
fn single_pieces_cost_the_unit_price() {
    assert_eq!(price(1, 250), 250);
    assert_eq!(price(9, 100), 900);
}

#[test]
fn ten_pieces_are_cheaper() {
    assert_eq!(price(10, 100), 900);
}

#[test]
fn many_pieces_are_cheaper() {
    assert_eq!(price(20, 100), 1800);
}

#[test]
fn the_cheapest_offer_wins() {
    assert_eq!(cheapest(&[30, 10, 20]), Some(10));
    assert_eq!(cheapest(&[]), None);
}
