/// `2026-02-01T14:49:26Z` and no other form of RFC 3339.
public enum UTCTime {
    /// Seconds since 1970; nil when the text has another form.
    public static func parse(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count == 20, bytes[4] == 0x2D, bytes[7] == 0x2D, bytes[10] == 0x54,
            bytes[13] == 0x3A, bytes[16] == 0x3A, bytes[19] == 0x5A,
            let year = number(bytes[0..<4]), let month = number(bytes[5..<7]),
            let day = number(bytes[8..<10]), let hour = number(bytes[11..<13]),
            let minute = number(bytes[14..<16]), let second = number(bytes[17..<19]),
            (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day),
            hour < 24, minute < 60, second < 60
        else { return nil }
        // Days since 1970 in the Gregorian calendar, counting years from March.
        let shifted = month > 2 ? year : year - 1
        let era = shifted / 400
        let ofEra = shifted - era * 400
        let ofYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let days = era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468
        return Int64(days * 86_400 + hour * 3_600 + minute * 60 + second)
    }

    /// The text for a time from 1970 to 9999.
    public static func text(_ time: Int64) -> String {
        let days = (time - (time % 86_400 + 86_400) % 86_400) / 86_400
        let second = Int((time % 86_400 + 86_400) % 86_400)
        // The inverse of `parse`: days since March 1 of year 0, in eras of 400 years.
        let shifted = Int(days) + 719_468
        let era = shifted / 146_097
        let ofEra = shifted - era * 146_097
        let year = (ofEra - ofEra / 1_460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * year + year / 4 - year / 100)
        let month = (5 * ofYear + 2) / 153
        let day = ofYear - (153 * month + 2) / 5 + 1
        let civil = month < 10 ? month + 3 : month - 9
        let full = year + era * 400 + (civil <= 2 ? 1 : 0)
        func padded(_ value: Int, _ count: Int = 2) -> String {
            let digits = "\(value)"
            return String(repeating: "0", count: max(0, count - digits.count)) + digits
        }
        return padded(full, 4) + "-" + padded(civil) + "-" + padded(day) + "T"
            + padded(second / 3_600) + ":" + padded(second / 60 % 60) + ":" + padded(second % 60)
            + "Z"
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        var value = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            value = value * 10 + Int(digit - 0x30)
        }
        return value
    }
}
