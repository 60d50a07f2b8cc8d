package store

import (
	"strings"
	"unicode"
)

// guesses are fields by what their columns are usually called, in Dutch and
// English, without case, blanks and marks.
var guesses = func() map[string]string {
	all := map[string]string{}
	for field, names := range map[string]string{
		"number":                "telefoon telefoonnummer telnr tel telefoonnr nummer mobiel mobielnummer gsm phone phonenumber telephone telephonenumber msisdn mobile e164",
		"kind":                  "soort type feit facttype",
		"advertiser":            "adverteerder opdrachtgever company bedrijf",
		"at":                    "datum datumtijd tijdstip moment date datetime timestamp optindatum optindate consentdate toestemmingsdatum datumtoestemming bezwaardatum objectiondate",
		"source":                "bron herkomst origin",
		"via":                   "kanaal hoe ontvangenvia",
		"purposes":              "doel doelen doeleinden purpose",
		"products":              "product producten",
		"preticked":             "vooraangevinkt voorafaangevinkt pretickedbox",
		"bundled":               "gebundeld",
		"method":                "methode wijze",
		"verified_at":           "bevestigdop bevestigd doubleoptin doubleoptindatum confirmedat verified",
		"verified_by":           "bevestigdvia bevestigddoor confirmedby",
		"valid_until":           "geldigtot geldigtotenmet expires expiry",
		"started":               "begin begindatum startdatum ingangsdatum klantsinds start startdate since customersince",
		"ended":                 "eind einddatum einde end enddate customeruntil",
		"subscriber":            "abonnee",
		"legal_form":            "rechtsvorm legalform",
		"evidence.uri":          "bewijs bewijsstuk url link opname recording evidence",
		"evidence.ip":           "ip ipadres ipaddress",
		"evidence.person":       "persoon klantnummer klantnr relatienummer customerid personref",
		"evidence.text_version": "tekstversie textversion",
		"evidence.sha256":       "hash sha256",
		"evidence.note":         "opmerking notitie note remark",
		"objection_offered":     "verzetaangeboden objectionoffered",
		"collected_in_sale":     "bijverkoopverkregen collectedinsale",
		"id":                    "kenmerk referentie reference uuid",
	} {
		for _, name := range strings.Fields(names) {
			all[name] = field
		}
	}
	return all
}()

// guessed is the field that a column seems to be, "" when nothing tells.
func guessed(column string) string {
	return guesses[strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, column)]
}
