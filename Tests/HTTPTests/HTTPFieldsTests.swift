import HTTP
import Testing

@Suite struct HTTPFieldsTests {
    @Test func keepsOrderAndCase() {
        var fields = HTTPFields()
        fields.append("Alpha", "1")
        fields.append("beta", "2")
        fields.append("ALPHA", "3")
        #expect(fields.map(\.name) == ["Alpha", "beta", "ALPHA"])
        #expect(fields.firstValue(named: "alpha") == "1")
        #expect(fields.values(named: "aLPHA") == ["1", "3"])
        fields.set("alpha", "4")
        #expect(fields.map(\.name) == ["alpha", "beta"])
        fields.set("gamma", "5")
        #expect(fields.count == 3)
        fields.removeAll(named: "BETA")
        #expect(fields.map(\.value) == [bytes("4"), bytes("5")])
        #expect(fields.firstValue(named: "beta") == nil)
        #expect(!fields.contains(named: "beta"))
    }

    @Test func readsListsOverAllLines() {
        var fields = HTTPFields()
        fields.append("Connection", "a,, B ,\tc")
        fields.append("connection", "d")
        for token in ["a", "b", "C", "D"] {
            #expect(fields.contains(named: "connection", token: token))
        }
        #expect(!fields.contains(named: "connection", token: "e"))
        #expect(!fields.contains(named: "x", token: "a"))
    }

    @Test func aValueCannotEndItsLine() {
        var fields = HTTPFields()
        fields.append("A", "b\r\nC: d\0")
        #expect(fields.map(\.value) == [bytes("b  C: d ")])
        #expect(fields.count == 1)
    }
}
