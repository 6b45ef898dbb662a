import Testing

@testable import Appraisal

struct UTCTimeTests {
    @Test func oneFormIsRead() {
        #expect(UTCTime.parse("1970-01-01T00:00:00Z") == 0)
        #expect(UTCTime.parse("2027-01-15T08:00:00Z") == 1_800_000_000)
        #expect(UTCTime.parse("2024-02-29T23:59:59Z") == 1_709_251_199)
        #expect(UTCTime.parse("9999-12-31T23:59:59Z") == 253_402_300_799)
        let good = "2027-01-15T08:00:00Z"
        for index in [4, 7, 10, 13, 16, 19] {
            var bytes = Array(good.utf8)
            bytes[index] = 0x20
            #expect(UTCTime.parse(String(decoding: bytes, as: UTF8.self)) == nil, "\(index)")
        }
        for text in [
            "", good + "Z", "2027-01-15T08:00:00", "1969-12-31T23:59:59Z", "2027-00-15T08:00:00Z",
            "2027-13-15T08:00:00Z", "2027-01-00T08:00:00Z", "2027-01-32T08:00:00Z",
            "2027-01-15T24:00:00Z", "2027-01-15T08:60:00Z", "2027-01-15T08:00:60Z",
            "2O27-01-15T08:00:00Z", "2027-01-15T0/:00:00Z", "2027-01-15T08:00:0:Z",
        ] {
            #expect(UTCTime.parse(text) == nil, "\(text)")
        }
    }

    @Test func whatIsWrittenIsReadAgain() {
        for time: Int64 in [0, 951_782_399, 951_782_400, 1_709_251_199, 4_107_542_400] {
            #expect(UTCTime.parse(UTCTime.text(time)) == time)
        }
    }
}
