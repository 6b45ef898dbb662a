internal import Keys
public import Receipts

/// The seeds of the draws, and the offers that requests are served under, with the Evidence of who
/// made them.
extension Ledger {
    /// Keeps an offer that requests may be served under.
    public func keep(_ offer: SignedStatement) throws(LedgerError) {
        try database.run(
            "INSERT INTO offers (digest, statement) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            .blob(offer.digest), .text(offer.json.serialised()))
    }

    /// Keeps the Evidence by which a provider was admitted whose offers the key signs that has this
    /// SHA-256: once for each period and session. `time` is in milliseconds since 1970.
    public func keep(
        evidence document: String, of key: [UInt8], session: String, at time: Int64
    ) throws(LedgerError) {
        try database.run(
            """
            INSERT INTO evidence (router, key, period, session, document)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
            """, .blob(router), .blob(key), .integer(time / period), .text(session),
            .text(document))
    }

    /// The Evidence by which the provider with this key was admitted in period `index`, or when it
    /// last was before.
    func evidence(of key: [UInt8], period index: Int64) throws(LedgerError) -> [String] {
        let rows = try database.query(
            """
            SELECT document FROM evidence WHERE router = $1 AND key = $2 AND period =
                (SELECT MAX(period) FROM evidence
                WHERE router = $1 AND key = $2 AND period <= $3)
            ORDER BY session
            """, .blob(router), .blob(key), .integer(index))
        return rows.compactMap { $0[0].text }
    }

    /// An offer that was kept.
    public func offer(_ digest: [UInt8]) throws(LedgerError) -> SignedStatement? {
        let rows = try database.query(
            "SELECT statement FROM offers WHERE digest = $1", .blob(digest))
        return try rows.first.map { row throws(LedgerError) in
            try Ledger.statement(.offer, row[0])
        }
    }

    /// The seed of the period that `time` lies in, in milliseconds since 1970; the first time it
    /// is made. It is secret until the period is over.
    public func seed(at time: Int64) throws(LedgerError) -> [UInt8] {
        try write { () throws(LedgerError) in
            let fresh = SecureRandom.bytes(32)
            try database.run(
                """
                INSERT INTO seeds (router, period, seed, commitment) VALUES ($1, $2, $3, $4)
                ON CONFLICT DO NOTHING
                """, .blob(router), .integer(time / period), .blob(fresh),
                .blob(Decision.commitment(to: fresh)))
            let rows = try database.query(
                "SELECT seed FROM seeds WHERE router = $1 AND period = $2", .blob(router),
                .integer(time / period))
            guard let seed = rows.first?[0].blob else { throw LedgerError(.damaged, "no seed") }
            return seed
        }
    }

    /// When the period begins whose seed has this commitment: a receipt is not written before it,
    /// or its export would have to show the seed while it is drawn with.
    func start(ofSeed commitment: [UInt8]) throws(LedgerError) -> Int64 {
        let rows = try database.query(
            "SELECT period FROM seeds WHERE router = $1 AND commitment = $2", .blob(router),
            .blob(commitment))
        guard let index = rows.first?[0].integer else {
            throw LedgerError(
                .invalid,
                "expected the commitment to a seed of this ledger, got \(Hex.encode(commitment))")
        }
        return index * period
    }
}
