import Loop
import Testing

struct HostTests {
    private func host(_ text: String) -> [UInt8] { Address.ip(host: text, port: 1).host }

    /// RFC 4291 section 2.5.4: whoever has a network of 64 bits has every address in it.
    @Test func addressesOfOneNetworkAreOneHost() {
        #expect(host("2001:db8:0:1::1") == host("2001:db8:0:1:ffff:1:2:3"))
        #expect(host("2001:db8:0:1::1") != host("2001:db8:0:2::1"))
        #expect(host("192.0.2.1") == [192, 0, 2, 1])
        #expect(host("192.0.2.1") != host("192.0.2.2"))
    }

    @Test func mappedAddressesAreTheirOwn() {
        #expect(host("::ffff:192.0.2.1") == [192, 0, 2, 1])
        #expect(host("::ffff:192.0.2.1") != host("::ffff:192.0.2.2"))
    }

    @Test func whatHasNoAddressIsOne() {
        #expect(Address.unix(path: "/a").host == Address.unix(path: "/b").host)
    }
}
