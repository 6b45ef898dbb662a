internal import Keys
internal import Receipts

/// What `GET /.well-known/ratel/offers` answers: the offers as they are signed, and what is said of
/// their models beside them.
struct OffersDocument {
    private let metering: Metering

    init(_ metering: Metering) {
        self.metering = metering
    }

    var json: JSONValue {
        let all = metering.book.offers
        return .members([
            ("offers", .array(all.map(\.statement.json))),
            (
                "models",
                .array(
                    all.map {
                        .members([
                            ("id", .string($0.offer.model.id)),
                            ("context_length", .integer($0.model.context)),
                            ("parameters", .array($0.model.parameters.map { .string($0) })),
                        ])
                    })
            ),
            ("is_full", .bool(metering.isFull)),
        ])
    }
}
