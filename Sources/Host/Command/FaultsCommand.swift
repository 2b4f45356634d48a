import Glibc

/// `bulkhead faults [ID]`: the ledger, which is on disk and can be read whether the host runs or not.
enum FaultsCommand {
  static func run(_ options: FaultsOptions) -> ExitStatus {
    let search = HostSearch(stateDirectory: options.stateDirectory, configuration: options.configuration)
    let state = search.directory { access(FaultLedger.directory(in: $0), F_OK) == 0 }
    let directory = FaultLedger.directory(in: state)
    guard access(directory, F_OK) == 0 || search.errors == nil else {
      Output.complain(search.failure(living: HostRecord.living()))
      return .unavailable
    }
    guard let id = options.id else { return list(directory, json: options.json) }
    guard let record = FaultLedger.read(id, in: directory) else {
      let hint = NearestName.hint(for: id, among: FaultLedger.ids(in: directory))
      Output.complain("there is no fault \(id.quotedForMessage) in \(directory)\(hint)")
      return .no
    }
    if options.json {
      var json = JSONWriter()
      record.write(to: &json)
      return Output.print(json.text + "\n")
    }
    return Output.print(text(record))
  }

  private static func list(_ directory: String, json isJSON: Bool) -> ExitStatus {
    // Newest first.
    let records = FaultLedger.ids(in: directory).reversed().compactMap { FaultLedger.read($0, in: directory) }
    guard !isJSON else {
      var json = JSONWriter()
      json.object { object in
        object.array("faults") { array in
          for record in records { record.write(to: &array) }
        }
      }
      return Output.print(json.text + "\n")
    }
    if records.isEmpty { return Output.print("no faults\n") }
    let rows = records.map { record in
      [
        record["id"].string ?? "?", record["at"].string ?? "?", record["plugin"].string ?? "?",
        (record["reason"].string ?? "?") + (record["collateral"].boolean == true ? ", collateral" : ""),
        (record["message"].string ?? "").split(whereSeparator: \.isNewline).first.map {
          String($0.prefix(80))
        } ?? "",
      ]
    }
    return Output.print(TextTable.text([["FAULT", "AT", "PLUGIN", "REASON", "MESSAGE"]] + rows))
  }

  /// Every member of a record on a line, the backtrace and the last words below.
  static func text(_ record: JSONValue) -> String {
    var rows: [(String, String)] = []
    for member in record.members where !["backtrace", "last_words"].contains(member.name) {
      switch member.value {
      case .string(let text):
        rows.append((member.name, text.split(whereSeparator: \.isNewline).joined(separator: "; ")))
      case .null, .boolean(false): continue
      case let value:
        var json = JSONWriter()
        value.write(to: &json)
        rows.append((member.name, json.text))
      }
    }
    let frames = record["backtrace"].array.compactMap(\.string)
    let backtrace = frames.isEmpty ? "" : "backtrace\n" + frames.map { "  \($0.visible)\n" }.joined()
    let said = (record["last_words"].string ?? "").split(whereSeparator: \.isNewline)
    let words = said.isEmpty ? "" : "last words\n" + said.map { "  \(String($0).visible)\n" }.joined()
    return TextTable.text(rows.map { [$0.0, $0.1] }) + backtrace + words
  }
}
