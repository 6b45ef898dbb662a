import Keys
import RATS
import Receipts
import Testing

@testable import Ledger

struct PendingTests {
    private func open(_ place: Place) throws -> (Book, Ledger) {
        let book = try Book(place)
        let ledger = try book.open()
        try ledger.set(account: "a", terms: .prepaid)
        try ledger.credit(account: "a", amount: 100, reference: "r")
        return (book, ledger)
    }

    @Test(arguments: Place.all) func theSameTwiceIsOnce(_ place: Place) throws {
        let (book, ledger) = try open(place)
        let request = try book.pending("1", reserve: 60, of: ledger)
        #expect(try ledger.begin([request, request]) == [.admitted, .admitted])
        #expect(try ledger.begin([request]) == [.admitted])
        #expect(try ledger.balance(of: "a", at: 0).reserved == 60)
        _ = try ledger.append([try book.entry(request)])
        #expect(try ledger.begin([request]) == [.over])
        #expect(try ledger.balance(of: "a", at: 0).reserved == 0)
    }

    /// The next provider may be dearer: the difference is reserved, or it is not asked.
    @Test(arguments: Place.all) func theNextProviderIsNoted(_ place: Place) throws {
        let (book, ledger) = try open(place)
        var request = try book.pending("1", reserve: 60, of: ledger)
        #expect(try ledger.begin([request]) == [.admitted])
        request.attempts = [.init(offer: Digest.sha256([9]), outcome: .saturated)]
        request.reserve = 100
        #expect(try ledger.begin([request]) == [.admitted])
        #expect(try ledger.pending() == [request])
        var dearer = request
        dearer.reserve = 101
        #expect(try ledger.begin([dearer]) == [.refused(available: 0)])
        #expect(try ledger.pending() == [request])
        request.reserve = 10
        #expect(try ledger.begin([request]) == [.admitted])
        #expect(try ledger.balance(of: "a", at: 0).available == 90)
    }

    /// A provider that counts more than the request can take is not paid for it.
    @Test func whatCostsMoreThanItCanIsNotBilled() throws {
        let (book, ledger) = try open(.sqlite)
        let service = try book.service("1")
        var request = try book.pending("1", reserve: 20, of: ledger)
        #expect(try request.served(service, under: book.offer, at: 1).receipt.cost == 20)
        request.reserve = 19
        #expect(throws: Refusal.self) { try request.served(service, under: book.offer, at: 1) }
    }

    @Test(arguments: Place.all) func anotherAccountsRequestIsNotTaken(_ place: Place) throws {
        let (book, ledger) = try open(place)
        try ledger.set(account: "b", terms: .postpaid(budget: nil, period: .day))
        let request = try book.pending("1", of: ledger)
        #expect(try ledger.begin([request]) == [.admitted])
        var taken = request
        taken.account = "b"
        #expect(throws: LedgerError.self) { try ledger.begin([taken]) }
        #expect(throws: LedgerError.self) { try ledger.append([try book.entry(taken)]) }
        #expect(try ledger.pending() == [request])
    }

    /// After a crash each is billed from what its provider signed, or abandoned.
    @Test(arguments: Place.all) func whatACrashLeftIsBilledOrAbandoned(_ place: Place) throws {
        var (book, ledger) = try open(place)
        let requests = try ["1", "2"].map { try book.pending($0, reserve: 50, of: ledger) }
        #expect(try ledger.begin(requests) == [.admitted, .admitted])
        let other = try Book(beside: book)
        _ = try other.open()
        let service = try book.service("1")
        ledger = try book.open()
        let left = try ledger.pending()
        #expect(left == requests)
        #expect(try other.open().pending() == [])
        let entry = try left[0].served(
            service, under: try #require(try ledger.offer(book.offer.digest)), at: Book.time)
        _ = try ledger.append([entry])
        let ended = try #require(try ledger.abandon("2", at: Book.time))
        #expect(try ledger.abandon("2", at: Book.time) == ended)
        #expect(try ledger.abandon("never", at: Book.time) == nil)
        let receipt = try Receipt(ended)
        #expect(receipt.end == .error && receipt.service == nil && receipt.cost == 0)
        #expect(receipt.attempts == [.init(offer: book.offer.digest, outcome: .failed)])
        #expect(try ledger.pending() == [])
        let balance = try ledger.balance(of: "a", at: Book.time)
        #expect(balance.reserved == 0 && balance.billed == Book.cost)
        let result = try book.audit(try book.export(ledger))
        #expect(result.findings.map(\.refusal.code) == [])
        #expect(result.bills == ["a": .init(requests: 2, cost: Book.cost)])
    }

    @Test(arguments: Place.all) func factsOfAnotherRequestAreNotBilled(_ place: Place) throws {
        let (book, ledger) = try open(place)
        let request = try book.pending("1", of: ledger)
        let service = try book.service("2")
        let error = #expect(throws: Refusal.self) {
            try request.served(service, under: book.offer, at: Book.time)
        }
        #expect(error?.code == "ledger.service")
        let stranger = try Book(.sqlite)
        let foreign = try stranger.service("1")
        #expect(throws: Refusal.self) {
            try request.served(foreign, under: stranger.offer, at: Book.time)
        }
        #expect(throws: Refusal.self) {
            try request.served(foreign, under: book.offer, at: Book.time)
        }
    }

    @Test(arguments: Place.all) func receiptsAreFound(_ place: Place) throws {
        let (book, ledger) = try open(place)
        let entries = try ["ab1", "ab2", "b", "ab_", "Ab"].map {
            try book.entry($0, of: ledger)
        }
        let signed = try ledger.append(entries)
        _ = try ledger.append([try book.entry("ab3", account: "other", of: ledger)])
        let found = try #require(try ledger.find("ab2"))
        #expect(found.statement == signed[1] && found.decision == entries[1].decision)
        #expect(try ledger.find("none") == nil)
        #expect(
            try ledger.receipts(ofAccount: "a", limit: 2) == [signed[4], signed[3]])
        #expect(
            try ledger.receipts(withPrefix: "ab", limit: 9).compactMap {
                $0.body["receipt_id"]?.text
            } == ["ab1", "ab2", "ab3", "ab_"])
        #expect(try ledger.newest(limit: 2).last == signed[4])
        #expect(try ledger.newest(limit: -1) == [])
    }
}
