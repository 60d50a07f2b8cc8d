package nl

import "dialgate/policy"

// Plan is the Dutch numbering plan (Nummerplan telefoon- en ISDN-diensten), as
// far as it decides which number may be shown or called.
func Plan() *policy.Plan {
	return &policy.Plan{Country: "NL", Code: "31", Trunk: "0", Classify: classify, Short: short}
}

// area3 and area4 are the geographic area codes without their 0.
var (
	area3 = codes("10 13 15 20 23 24 26 30 33 35 36 38 40 43 45 46 50 53 55 58 70 71 72 73 74 75 76 77 78 79")
	area4 = codes("111 113 114 115 117 118 161 162 164 165 166 167 168 172 174 180 181 182 183 184 186 187 " +
		"222 223 224 226 227 228 229 251 252 255 294 297 299 313 314 315 316 317 318 320 321 " +
		"341 342 343 344 345 346 347 348 411 412 413 416 418 475 478 481 485 486 487 488 492 493 495 497 499 " +
		"511 512 513 514 515 516 517 518 519 521 522 523 524 525 527 528 529 541 543 544 545 546 547 548 561 562 566 " +
		"570 571 572 573 575 577 578 591 592 593 594 595 596 597 598 599")
)

func codes(list string) *[1000]bool {
	var t [1000]bool
	n := 0
	for i := range len(list) + 1 {
		if i == len(list) || list[i] == ' ' {
			t[n], n = true, 0
			continue
		}
		n = n*10 + int(list[i]-'0')
	}
	return &t
}

// classify tells the class of a number that begins with 31. Lengths are those
// of the national number without its 0.
func classify(n policy.Number) policy.Class {
	digits := n.Key()
	length, head := 0, digits
	for m := digits; m > 0; m /= 10 {
		length++
	}
	length -= 2 // the country code
	for i := length; i > 4; i-- {
		head /= 10
	}
	if length < 4 {
		return policy.Unassigned
	}
	head %= 10000 // the first four digits of the national number
	two, three := head/100, head/10
	switch {
	case length == 9:
		return classifyNine(digits, head, two, three)
	case two == 97 && head/10 == 970 && length == 11:
		return policy.Machine
	case three == 800 && (length == 7 || length == 10):
		return policy.Freephone
	case (three == 900 || three == 906 || three == 909) && (length == 7 || length == 10):
		return policy.Premium
	case two == 67 && length == 5:
		return policy.Private
	case two == 82 && length >= 7:
		return policy.Private
	}
	return policy.Unassigned
}

// classifyNine is classify for the nine digits of most numbers.
func classifyNine(digits, head, two, three uint64) policy.Class {
	switch two {
	case 61, 62, 63, 64, 65, 68:
		return policy.Mobile
	case 66:
		return policy.Paging
	case 67, 82:
		return policy.Private
	case 84, 87:
		return policy.Personal
	case 85, 88, 91:
		return policy.LocationFree
	}
	subscriber := uint64(0)
	switch {
	case area3[two]:
		subscriber = digits / 1_000_000 % 10
	case area4[three]:
		subscriber = digits / 100_000 % 10
	default:
		return policy.Unassigned
	}
	// A subscriber part begins with 2 to 8 (Nummerplan art. 4).
	if subscriber < 2 || subscriber == 9 {
		return policy.Unassigned
	}
	return policy.Geographic
}

// short tells the class of digits as dialled in the Netherlands that are no
// E.164 number.
func short(digits string) policy.Class {
	switch digits {
	case "112":
		return policy.Emergency
	case "144", "113", "116000", "116006", "116111", "116117", "116123", "08000113", "09008844":
		return policy.Protected
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return policy.Unassigned
		}
	}
	switch n := len(digits); {
	case n >= 4 && n <= 6 && digits[:2] == "14":
		return policy.Protected // municipalities and other public contact centres
	case n == 4 && (digits[:2] == "18" || digits[:2] == "12" || digits[:2] == "13"):
		return policy.Operator // enquiries and operators; 10xxx and 16xx choose a carrier and are no number to call
	}
	return policy.Unassigned
}
