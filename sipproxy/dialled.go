package sipproxy

import (
	"bytes"

	"dialgate/policy"
)

// Dialled reads what stands for a number outside of a message, such as a cell
// of a list, as if the peer dialled it: digits, perhaps behind a plus, with
// separators for the eye. Anything else is no number.
func (r *Reader) Dialled(b []byte, peer *policy.PeerTerms) policy.Called {
	digits := bytes.TrimSpace(b)
	if len(digits) > 0 && digits[0] == '+' {
		// The national prefix is often shown beside the country code: +31 (0)20.
		digits = bytes.Replace(digits, []byte("(0)"), nil, 1)
	}
	digits, ok := dropSeparators(digits)
	if !ok {
		return policy.Called{Text: text(b)}
	}
	uri := make([]byte, 0, 64)
	uri = append(append(append(uri, "sip:"...), digits...), "@list.invalid"...)
	return r.called(uri, peer)
}
