/// Days since 1970 as the calendar has them, which PostgreSQL and SQLite are not asked for.
enum UTC {
    static func isSameMonth(_ day: Int64, _ other: Int64) -> Bool {
        let (one, two) = (date(day), date(other))
        return one.year == two.year && one.month == two.month
    }

    /// The date of a day, in the Gregorian calendar.
    ///
    /// Years are counted from March, so that a leap day is the last of its year: 146,097 days are
    /// 400 years.
    static func date(_ day: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = day + 719_468  // From 0000-03-01.
        let era = shifted / 146_097
        let ofEra = shifted % 146_097
        let year = (ofEra - ofEra / 1_460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * year + year / 4 - year / 100)
        let month = (5 * ofYear + 2) / 153  // From March, 0 to 11.
        let january = month < 10 ? month + 3 : month - 9
        return (
            era * 400 + year + (january <= 2 ? 1 : 0), january,
            ofYear - (153 * month + 2) / 5 + 1
        )
    }

    /// A time in milliseconds since 1970, to the second, without what file systems do not take:
    /// `2027-01-15T08-00-00Z`.
    static func name(_ time: Int64) -> String {
        let (year, month, day) = date(time / LedgerSchema.day)
        let second = time % LedgerSchema.day / 1_000
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(year)-\(two(month))-\(two(day))T"
            + [second / 3_600, second / 60 % 60, second % 60].map(two).joined(separator: "-") + "Z"
    }
}
