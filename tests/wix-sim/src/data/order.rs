//! Writes one generated order.

use super::Shape;
use super::contact::write_address;
use super::people::Person;
use super::text::{Dice, push, push_decimal, push_id, push_money, push_number};
use crate::clock::{NANOS_PER_MS, push_date};
use crate::site::Entity;
use crate::store::{OrderStatus, Record};

const SECOND: i64 = 1000 * NANOS_PER_MS;
const STORES: &str = "215238eb-22a5-4c36-9e7b-e7c08025e04e";
const BOOKINGS: &str = "13d21c63-b5ec-5912-8397-c3a5ddb27a97";
const PRODUCTS: [(&str, &str); 7] = [
    ("Stoneware mug", "PHYSICAL"),
    ("Café crème, 1 kg", "PHYSICAL"),
    ("手作り石鹸", "PHYSICAL"),
    ("E-book: Töpfern für Anfänger", "DIGITAL"),
    ("Gift card 🎁", "GIFT_CARD"),
    ("Cut and finish", "SERVICE"),
    ("Льняная скатерть 140×220", "PHYSICAL"),
];
const CURRENCIES: [(&str, &str); 5] = [("EUR", "€"), ("USD", "$"), ("GBP", "£"), ("JPY", "¥"), ("ILS", "₪")];
const NOTES: [&str; 5] = [
    "Gift wrap please 🎀",
    "Leave with neighbour\\nRing twice",
    "请放在门口",
    "Danke schön!",
    "Code \\\"4711\\\" at the gate",
];

/// The sums of an order in thousandths.
#[derive(Debug, Default)]
struct Sums {
    subtotal: i64,
    tax: i64,
    discount: i64,
    shipping: i64,
}

impl Sums {
    fn total(&self) -> i64 {
        self.subtotal + self.shipping - self.discount
    }
}

pub(super) fn write(shape: &Shape, record: &Record, out: &mut String) {
    let mut dice = Dice::new(shape.seed, 4, u64::from(record.index));
    let imported = dice.chance(6);
    let (currency, sign) = dice.pick(&CURRENCIES);
    push_id(out, "{\"id\":", record.id);
    out.push_str(if imported { ",\"number\":\"#WC-" } else { ",\"number\":\"" });
    push_number(out, 10_001 + i64::from(record.index));
    out.push_str("\",\"createdDate\":\"");
    push_date(out, record.created);
    out.push_str("\",\"updatedDate\":\"");
    push_date(out, record.updated);
    out.push_str("\",\"lineItems\":[");
    let mut sums = Sums::default();
    let items = if imported { 1 } else { dice.pick(&[1, 1, 1, 2, 2, 3, 4, 8]) };
    for number in 0..items {
        out.push_str(if number > 0 { "," } else { "" });
        write_item(shape, &mut dice, number, sign, &mut sums, out);
    }
    sums.shipping = [0, 6_500, 9_990][dice.below(3)];
    out.push(']');
    let person = write_buyer(shape, &mut dice, imported, out);
    let (paid, payment) = payment(record.status, &mut dice);
    let fulfillment =
        if paid { dice.pick(&["FULFILLED", "NOT_FULFILLED", "PARTIALLY_FULFILLED"]) } else { "NOT_FULFILLED" };
    push(
        out,
        &[
            ",\"paymentStatus\":\"",
            payment,
            "\",\"fulfillmentStatus\":\"",
            fulfillment,
            "\",\"buyerLanguage\":\"",
            &person.culture.locale[..2],
            "\",\"weightUnit\":\"KG\",\"currency\":\"",
            currency,
            "\",\"currencyConversionDetails\":{\"originalCurrency\":\"",
            currency,
            "\",\"conversionRate\":\"1\"},\"taxIncludedInPrices\":true,\"siteLanguage\":\"en\"",
        ],
    );
    write_sums(&sums, sign, out);
    write_contacts(&person, &mut dice, sums.shipping, sign, out);
    if dice.chance(25) {
        push(out, &[",\"buyerNote\":\"", dice.pick(&NOTES), "\""]);
    }
    push(
        out,
        &[
            ",\"status\":\"",
            record.status.name().unwrap_or("APPROVED"),
            "\",\"archived\":",
            if dice.chance(10) { "true" } else { "false" },
        ],
    );
    push_money(out, ",\"taxInfo\":{\"totalTax\":", sums.tax, sign);
    push_money(
        out,
        ",\"taxBreakdown\":[{\"taxName\":\"VAT\",\"taxType\":\"VAT\",\"jurisdiction\":\"IE\",\"jurisdictionType\":\"COUNTRY\",\"rate\":\"0.23\",\"aggregatedTaxAmount\":",
        sums.tax,
        sign,
    );
    out.push_str("}]}");
    if sums.discount > 0 {
        push_id(out, ",\"appliedDiscounts\":[{\"coupon\":{\"id\":", dice.uuid());
        push_money(out, ",\"code\":\"WELCOME10\",\"name\":\"Welcome 10%\",\"amount\":", sums.discount, sign);
        push_id(out, "},\"discountType\":\"SPECIFIC_ITEMS\",\"id\":", dice.uuid());
        out.push_str("}]");
    }
    write_activities(record, &mut dice, paid, out);
    write_balance(&sums, paid, payment, sign, out);
    write_end(record, &mut dice, imported, out);
    out.push('}');
}

fn payment(status: OrderStatus, dice: &mut Dice) -> (bool, &'static str) {
    match status {
        OrderStatus::Approved => match dice.below(20) {
            0..=12 => (true, "PAID"),
            13 => (true, "PARTIALLY_REFUNDED"),
            14 => (true, "FULLY_REFUNDED"),
            15 => (false, "PENDING_MERCHANT"),
            _ => (false, "NOT_PAID"),
        },
        OrderStatus::Canceled => (false, "CANCELED"),
        OrderStatus::Rejected => (false, "DECLINED"),
        OrderStatus::Pending => (false, "PENDING"),
        OrderStatus::Initialized | OrderStatus::Other => (false, "UNSPECIFIED"),
    }
}

fn write_item(shape: &Shape, dice: &mut Dice, number: usize, sign: &str, sums: &mut Sums, out: &mut String) {
    let (name, kind) = dice.pick(&PRODUCTS);
    let quantity = 1 + dice.below(4) as i64;
    // Mostly whole cents, sometimes three decimals.
    let price = match dice.below(10) {
        0 => 1_005 + dice.below(90_000) as i64,
        1 | 2 => 1_000 * (1 + dice.below(200) as i64),
        _ => 10 * (100 + dice.below(9_000) as i64),
    };
    let line = price * quantity;
    let discount = if dice.chance(15) { line / 100 * 10 } else { 0 };
    let tax = (line - discount) * 23 / 123;
    sums.subtotal += line;
    sums.discount += discount;
    sums.tax += tax;

    out.push_str("{\"id\":\"00000000-0000-0000-0000-");
    crate::clock::push_digits(out, number as i64 + 1, 12);
    push(out, &["\",\"productName\":{\"original\":\"", name, "\",\"translated\":\"", name, "\"}"]);
    let (app, item) = if kind == "SERVICE" && shape.sizes.bookings > 0 {
        let booking = dice.below(shape.sizes.bookings) as u32;
        (BOOKINGS, shape.id(Entity::Bookings, booking))
    } else {
        (STORES, dice.uuid())
    };
    push_id(out, ",\"catalogReference\":{\"catalogItemId\":", item);
    push(out, &[",\"appId\":\"", app, "\""]);
    if app == STORES {
        push_id(out, ",\"options\":{\"variantId\":", dice.uuid());
        out.push('}');
    }
    out.push_str("},\"quantity\":");
    push_number(out, quantity);
    push_money(out, ",\"totalDiscount\":", discount, sign);
    if kind == "PHYSICAL" {
        out.push_str(",\"descriptionLines\":[{\"name\":{\"original\":\"Glaze\",\"translated\":\"Glaze\"},\"plainText\":{\"original\":\"Celadon\",\"translated\":\"Celadon\"}}],\"image\":{\"id\":\"a1b2c3_9f8e7d~mv2.jpg\",\"url\":\"https://static.example/media/a1b2c3_9f8e7d~mv2.jpg\",\"height\":1200,\"width\":1600},\"physicalProperties\":{\"sku\":\"SKU-");
        push_number(out, dice.below(9999) as i64);
        out.push_str("\",\"weight\":0.45,\"shippable\":true}");
    }
    push(out, &[",\"itemType\":{\"preset\":\"", kind, "\"}"]);
    out.push_str(",\"refundQuantity\":0,\"restockQuantity\":0");
    push_money(out, ",\"price\":", price, sign);
    push_money(out, ",\"priceBeforeDiscounts\":", price, sign);
    push_money(out, ",\"totalPriceBeforeTax\":", line - discount - tax, sign);
    push_money(out, ",\"totalPriceAfterTax\":", line - discount, sign);
    push_money(out, ",\"paymentOption\":\"FULL_PAYMENT_ONLINE\",\"taxInfo\":{\"taxAmount\":", tax, sign);
    push_money(out, ",\"taxableAmount\":", line - discount - tax, sign);
    push_id(out, ",\"taxRate\":\"0.23\",\"taxGroupId\":", dice.uuid());
    push_money(out, ",\"taxIncludedInPrice\":true},\"lineItemPrice\":", line, sign);
    out.push_str(",\"priceUndetermined\":false,\"fixedQuantity\":false");
    if dice.chance(4) {
        push_id(out, ",\"subscriptionInfo\":{\"id\":", dice.uuid());
        out.push_str(",\"cycleNumber\":3,\"subscriptionSettings\":{\"frequency\":\"MONTH\",\"interval\":1,\"autoRenewal\":true,\"enableCustomerCancellation\":true}}");
    }
    out.push('}');
}

/// Mostly a buyer with contact and email, sometimes an odd email alone, sometimes nobody at all.
fn write_buyer(shape: &Shape, dice: &mut Dice, imported: bool, out: &mut String) -> Person {
    let index = dice.below(shape.sizes.contacts.max(1)) as u32;
    let person = Person::of(shape, index);
    let kind = dice.below(100);
    if kind < 3 {
        return person;
    }
    if imported || kind < 8 || shape.sizes.contacts == 0 {
        let mut email = String::with_capacity(40);
        person.push_email(&mut email);
        push(out, &[",\"buyerInfo\":{\"email\":\"", &odd_case(&email), "\"}"]);
        return person;
    }
    if dice.chance(50) {
        push_id(out, ",\"buyerInfo\":{\"memberId\":", dice.uuid());
    } else {
        push_id(out, ",\"buyerInfo\":{\"visitorId\":", dice.uuid());
    }
    push_id(out, ",\"contactId\":", shape.id(Entity::Contacts, index));
    if person.has_email() {
        out.push_str(",\"email\":\"");
        person.push_email(out);
        out.push('"');
    }
    out.push('}');
    person
}

/// Every other letter in upper case.
fn odd_case(email: &str) -> String {
    let letters = email.chars().enumerate();
    letters.map(|(at, letter)| if at % 2 == 0 { letter.to_ascii_uppercase() } else { letter }).collect()
}

fn write_sums(sums: &Sums, sign: &str, out: &mut String) {
    push_money(out, ",\"priceSummary\":{\"subtotal\":", sums.subtotal, sign);
    push_money(out, ",\"shipping\":", sums.shipping, sign);
    push_money(out, ",\"tax\":", sums.tax, sign);
    push_money(out, ",\"discount\":", sums.discount, sign);
    push_money(out, ",\"total\":", sums.total(), sign);
    push_money(out, ",\"totalAdditionalFees\":", 0, sign);
    out.push('}');
}

fn write_contacts(person: &Person, dice: &mut Dice, shipping: i64, sign: &str, out: &mut String) {
    out.push_str(",\"billingInfo\":{\"address\":{");
    write_address(person, dice, out);
    out.push_str("},");
    write_details(person, out);
    out.push('}');
    if shipping > 0 {
        out.push_str(",\"shippingInfo\":{\"carrierId\":\"c8a08776-c095-4dec-8553-8f9698d86adc\",\"code\":\"standard\",\"title\":\"Standard\",\"logistics\":{\"deliveryTime\":\"2-4 business days\",\"shippingDestination\":{\"address\":{");
        write_address(person, dice, out);
        out.push_str("},");
        write_details(person, out);
        push_money(out, "}},\"cost\":{\"price\":", shipping, sign);
        push_money(out, ",\"totalPriceAfterTax\":", shipping, sign);
        push_money(out, ",\"discount\":", 0, sign);
        out.push_str("},\"region\":{\"name\":\"Domestic\"}}");
    }
    out.push_str(",\"recipientInfo\":{");
    write_details(person, out);
    out.push('}');
}

fn write_details(person: &Person, out: &mut String) {
    push(
        out,
        &[
            "\"contactDetails\":{\"firstName\":\"",
            person.first.0,
            "\",\"lastName\":\"",
            person.last.0,
            "\",\"phone\":\"",
        ],
    );
    person.push_e164(out);
    out.push_str("\"}");
}

fn write_activities(record: &Record, dice: &mut Dice, paid: bool, out: &mut String) {
    push_id(out, ",\"activities\":[{\"id\":", dice.uuid());
    out.push_str(",\"createdDate\":\"");
    push_date(out, record.created);
    out.push_str("\",\"type\":\"ORDER_PLACED\",\"activityType\":\"ORDER_PLACED\"}");
    if paid {
        push_id(out, ",{\"id\":", dice.uuid());
        out.push_str(",\"createdDate\":\"");
        push_date(out, record.created + 2 * SECOND);
        out.push_str("\",\"type\":\"ORDER_PAID\",\"activityType\":\"ORDER_PAID\"}");
    }
    if dice.chance(30) {
        push_id(out, ",{\"id\":", dice.uuid());
        out.push_str(",\"createdDate\":\"");
        push_date(out, record.updated);
        out.push_str("\",\"authorEmail\":\"owner@studio.example\",\"type\":\"MERCHANT_COMMENT\",\"activityType\":\"MERCHANT_COMMENT\",\"merchantComment\":{\"message\":\"Packed 📦\"}}");
    }
    out.push(']');
}

fn write_balance(sums: &Sums, paid: bool, payment: &str, sign: &str, out: &mut String) {
    let total = sums.total();
    let received = if paid { total } else { 0 };
    let refunded = match payment {
        "FULLY_REFUNDED" => total,
        "PARTIALLY_REFUNDED" => total / 30 * 10,
        _ => 0,
    };
    push_money(out, ",\"balanceSummary\":{\"balance\":", total - received, sign);
    push_money(out, ",\"paid\":", received, sign);
    push_money(out, ",\"refunded\":", refunded, sign);
    push_money(out, ",\"authorized\":", 0, sign);
    push_money(out, ",\"pending\":", 0, sign);
    out.push('}');
}

fn write_end(record: &Record, dice: &mut Dice, imported: bool, out: &mut String) {
    out.push_str(",\"attributionSource\":\"UNSPECIFIED\"");
    if imported {
        out.push_str(",\"purchasedDate\":\"");
        push_date(out, record.created);
        out.push_str("\",\"channelInfo\":{\"type\":\"OTHER_PLATFORM\",\"externalOrderId\":\"");
        push_number(out, i64::from(record.index));
        out.push_str("\"},\"imported\":true");
        return;
    }
    push_id(out, ",\"createdBy\":{\"visitorId\":", dice.uuid());
    let channel = dice.pick(&["WEB", "WEB", "WEB", "POS", "BACKOFFICE_MERCHANT"]);
    push(out, &["},\"channelInfo\":{\"type\":\"", channel, "\"},\"seenByAHuman\":true"]);
    push_id(out, ",\"checkoutId\":", dice.uuid());
    push_id(out, ",\"purchaseFlowId\":", dice.uuid());
    if dice.chance(30) {
        out.push_str(",\"customFields\":[{\"title\":\"How did you hear about us?\",\"value\":\"Instagram\",\"translatedTitle\":\"How did you hear about us?\"}]");
    }
    out.push_str(",\"additionalFees\":[],\"extendedFields\":{\"namespaces\":{\"_user_fields\":{\"pos_ref\":\"T-");
    push_decimal(out, i64::from(record.index) * 1000);
    out.push_str("\"}}},\"tags\":{\"privateTags\":{\"tagIds\":[\"3\"]},\"tags\":{\"tagIds\":[]}},\"businessLocation\":{\"id\":\"d4e5f6a7-1b2c-4d3e-9f40-51627384950a\",\"name\":\"Main studio\"},\"imported\":false");
}
