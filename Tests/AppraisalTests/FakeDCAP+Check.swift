import Testing

@testable import Appraisal

extension FakeDCAP {
    /// One thing about good Evidence that is made otherwise.
    typealias Change = (inout FakeDCAP) throws -> Void

    /// Expects of good Evidence, after each change by itself, the outcome named beside it.
    static func check(
        _ changes: [(String, Change)], _ place: SourceLocation = #_sourceLocation
    ) throws {
        let good = try FakeDCAP()
        for (index, (wanted, change)) in changes.enumerated() {
            var fake = good
            try change(&fake)
            #expect(try fake.code() == wanted, "change \(index)", sourceLocation: place)
        }
    }
}
