// later
function startPulse() {}
function drawLearning() { drawReview(); }
