import Keys
import RATS
import Receipts
import Testing

@testable import Ledger

struct AccountTests {
    @Test(arguments: Place.all) func prepaidAccountsSpendWhatTheyPaid(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        try ledger.set(account: "a", terms: .prepaid)
        try ledger.credit(account: "a", amount: 120, reference: "r")
        let requests = try ["1", "2", "3"].map { try book.pending($0, reserve: 50, of: ledger) }
        #expect(
            try ledger.begin(requests) == [.admitted, .admitted, .refused(available: 20)])
        var balance = try ledger.balance(of: "a", at: Book.time)
        #expect(balance.reserved == 100 && balance.available == 20 && balance.billed == 0)
        _ = try ledger.append([try book.entry(requests[0])])
        balance = try ledger.balance(of: "a", at: Book.time)
        #expect(balance.reserved == 50 && balance.billed == Book.cost && balance.available == 50)
        #expect(try ledger.begin([requests[2]]) == [.admitted])
    }

    @Test(arguments: Place.all) func nothingBeginsWithoutTerms(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        #expect(try ledger.begin([try book.pending("1", of: ledger)]) == [.unknown])
        #expect(try ledger.pending() == [])
        try ledger.set(account: "a", terms: .postpaid(budget: nil, period: .day))
        let request = try book.pending("1", reserve: 1 << 50, of: ledger)
        #expect(try ledger.begin([request]) == [.admitted])
        #expect(try ledger.balance(of: "a", at: Book.time).available == nil)
    }

    /// A day's budget is there again the next day, a month's the next month.
    @Test(arguments: Place.all, [Ledger.Terms.Period.day, .month]) func budgetsAreOfTheirPeriod(
        _ place: Place, _ period: Ledger.Terms.Period
    ) throws {
        let book = try Book(place)
        let ledger = try book.open()
        try ledger.set(account: "a", terms: .postpaid(budget: 60, period: period))
        // 2027-01-15, the day after, and the first of February.
        let day: Int64 = 86_400_000
        for (index, (time, expected)) in [
            (Book.time, true), (Book.time + day, period == .day), (Book.time + 17 * day, true),
        ].enumerated() {
            let request = try book.pending("\(index)", reserve: 50, of: ledger, at: time)
            let admission = try ledger.begin([request])
            #expect(
                admission == [expected ? .admitted : .refused(available: 40)], "\(time)")
            if expected { _ = try ledger.append([try book.entry(request, at: time)]) }
        }
        #expect(try ledger.balance(of: "a", at: Book.time).billed == (period == .day ? 60 : 40))
    }

    /// A router whose clock is behind does not spend from yesterday's budget what another spends
    /// today.
    @Test(arguments: Place.all) func aClockThatIsBehindGivesNoSecondBudget(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        try ledger.set(account: "a", terms: .postpaid(budget: 60, period: .day))
        let today = try book.pending("1", reserve: 50, of: ledger, at: Book.time + 86_400_000)
        #expect(try ledger.begin([today]) == [.admitted])
        _ = try ledger.append([try book.entry(today, at: Book.time + 86_400_000)])
        let yesterday = try book.pending("2", reserve: 50, of: ledger)
        #expect(try ledger.begin([yesterday]) == [.refused(available: 40)])
    }

    @Test(arguments: Place.all) func aReferenceIsCreditedOnce(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        #expect(try ledger.credit(account: "a", amount: 7, reference: "r"))
        #expect(try !ledger.credit(account: "a", amount: 7, reference: "r"))
        #expect(try ledger.credit(account: "a", amount: -2, reference: "back"))
        #expect(throws: LedgerError.self) {
            try ledger.credit(account: "a", amount: 8, reference: "r")
        }
        #expect(throws: LedgerError.self) {
            try ledger.credit(account: "a", amount: 0, reference: "none")
        }
        #expect(try ledger.balance(of: "a", at: 0).credits == 5)
        #expect(throws: LedgerError.self) {
            try ledger.database.execute("DELETE FROM credits")
        }
    }

    @Test(arguments: Place.all) func aSumThatWouldNotFitFails(_ place: Place) throws {
        let book = try Book(place)
        let ledger = try book.open()
        let most: Int64 = 9_007_199_254_740_991
        for index in 0..<512 {
            try ledger.credit(account: "a", amount: most, reference: "\(index)")
        }
        try ledger.credit(account: "a", amount: 512, reference: "to the limit")
        #expect(try ledger.balance(of: "a", at: 0).credits == LedgerSchema.maxSum)
        let error = #expect(throws: LedgerError.self) {
            try ledger.credit(account: "a", amount: 1, reference: "over")
        }
        #expect(error?.code == .invalid)
    }

    /// Two routers on one database, or two connections to one file: what all reserve together is
    /// never more than was paid.
    @Test(arguments: Place.all) func manyWritersDoNotOverdraw(_ place: Place) async throws {
        let book = try Book(place)
        let other = place == .postgresql ? try Book(beside: book) : book
        let ledger = try book.open()
        _ = try other.open()
        try ledger.set(account: "a", terms: .prepaid)
        try ledger.credit(account: "a", amount: 1_000, reference: "r")
        let work = try (0..<8).map { writer in
            let book = writer < 4 ? book : other
            let ledger = try book.open()
            let requests = try (0..<40).map {
                try book.pending("\(writer)-\($0)", reserve: 30, of: ledger)
            }
            let entries = try requests.map { try book.entry($0) }
            return (place: book.place, key: book.key, requests: requests, entries: entries)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for work in work {
                group.addTask {
                    let ledger = try Ledger(at: work.place, key: work.key)
                    for (request, entry) in zip(work.requests, work.entries) {
                        guard try ledger.begin([request]) == [.admitted] else { continue }
                        let balance = try ledger.balance(of: "a", at: Book.time)
                        #expect(balance.billed + balance.reserved <= 1_000)
                        _ = try ledger.append([entry])
                    }
                }
            }
            try await group.waitForAll()
        }
        let balance = try ledger.balance(of: "a", at: Book.time)
        // What is left is less than one more would need.
        #expect(balance.reserved == 0 && balance.billed <= 1_000 && balance.billed > 970)
        let sums = try ledger.database.query(
            "SELECT CAST(SUM(cost_nusd) AS BIGINT), COUNT(*) FROM receipts WHERE account = 'a'")
        #expect(sums == [[.integer(balance.billed), .integer(balance.billed / Book.cost)]])
    }

    @Test func monthsAreThoseOfTheCalendar() {
        #expect(UTC.date(0) == (1970, 1, 1))
        #expect(UTC.date(11_016) == (2000, 2, 29))
        #expect(UTC.date(11_017) == (2000, 3, 1))
        #expect(UTC.date(47_541) == (2100, 3, 1))
        #expect(UTC.date(47_540) == (2100, 2, 28))
        #expect(UTC.name(1_800_000_000_000) == "2027-01-15T08-00-00Z")
        #expect(UTC.name(1_000_000_000_999) == "2001-09-09T01-46-40Z")
    }
}
