/// What a plugin that decides CORS takes over from `[cors]`: the policy is written once.
enum CORSInheritance {
  /// The settings that a plugin is checked and started with.
  ///
  /// A plugin that declares that it decides CORS, and whose section has none of the keys of `[cors]`, gets those that
  /// `[cors]` has and its schema declares, as though they stood in its own section. One such key of its own, and the policy
  /// is its own as a whole: half of one policy and half of another would be a third that nobody has written.
  ///
  /// - Parameters:
  ///   - own: what stands in the plugin's section.
  ///   - cors: what stands in `[cors]`; their lines are those of that section.
  ///   - schema: what the plugin's library declares.
  static func settings(
    _ own: [RawSetting], from cors: [RawSetting], schema: [SettingSchema], decidesCORS: Bool
  ) -> [RawSetting] {
    guard decidesCORS, !own.contains(where: { CORSSection.keys.contains($0.key) }) else { return own }
    let declared = Set(schema.map(\.name))
    return cors.filter { declared.contains($0.key) } + own
  }
}
