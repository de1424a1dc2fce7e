// later
function openVersions() {}
